// An engine that says what it is told: a fixed reply, one token a step, with made-up scores. It
// keeps EngineClient's promises (one terminal event each, cancellation within a step), so the
// server's tests need no model.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/engine_client.h"

namespace erne::server {

using sched::TokenId;

constexpr TokenId kEos = 2;

struct Script {
  std::vector<TokenId> reply;     // then kEos; over and over with ignore_eos
  int fail_after = -1;            // tokens, then kError; -1: never
  int stall_after = -1;           // tokens, then only a cancellation ends it; -1: never
  int num_cached = 0;             // prompt tokens said to have been cached
  int num_waiting_max = 1 << 30;  // requests at once; beyond: kOverloaded
};

class ScriptedEngine final : public engine::EngineClient {
 public:
  explicit ScriptedEngine(Script script);
  ~ScriptedEngine() override;

  sched::RequestId next_id() override { return ++last_id_; }
  Result<std::shared_ptr<engine::TokenStream>> submit(sched::Request request,
                                                      std::function<void()> on_ready) override;
  void cancel(sched::RequestId id) override;
  engine::EngineStats stats() const override;

  // While held, no step is made, but cancellations are.
  void hold(bool held);
  void set_script(Script script);
  int num_active() const;
  int num_cancelled() const { return num_cancelled_; }
  std::optional<sched::Request> last_request() const;

  // The score of `id` at a position, the same for every request.
  static float logprob(TokenId id, int position);

 private:
  struct Active {
    sched::Request request;
    std::shared_ptr<engine::TokenStream> stream;
    int num_generated = 0;
  };

  // The lock for callers, who would hardly ever get it from a thread that steps all the time.
  std::unique_lock<std::mutex> enter() const;
  void run();
  bool advance(Active& active);  // false: it has ended
  sched::TokenEvent event_of(const Active& active) const;

  mutable std::mutex mutex_;
  mutable std::atomic<int> num_callers_ = 0;  // waiting for it
  std::condition_variable changed_;
  Script script_;
  std::map<sched::RequestId, Active> active_;
  std::optional<sched::Request> last_request_;
  bool held_ = false;
  bool stopped_ = false;
  std::atomic<sched::RequestId> last_id_ = 0;
  std::atomic<int> num_cancelled_ = 0;
  std::jthread thread_;
};

}  // namespace erne::server
