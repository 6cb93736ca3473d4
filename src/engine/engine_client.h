// engine: the loop that drives scheduler and executor, and the thread-safe door to it. The engine's
// thread owns the Scheduler, the KvCache and the producer end of every TokenStream; other threads
// see EngineClient and TokenStream only. Knows no device, no model and no text.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/status.h"
#include "sched/request.h"

namespace erne::engine {

// What a client's side receives: the scheduler's event plus when things happened.
struct StreamEvent {
  sched::TokenEvent event;
  int64_t submitted_us = 0;        // on the engine's clock
  int64_t first_scheduled_us = 0;  // when a step first computed tokens of it; 0: not yet
  int64_t emitted_us = 0;
};

// Single producer (the engine's thread), single consumer. The engine never waits for a client, so
// what a slow one has not taken adds up: beyond a few events only tokens and scores, which
// max_new_tokens bounds, as later events are added to the last one that waits.
class TokenStream {
 public:
  static constexpr size_t kMaxWaitingEvents = 64;

  // `on_ready` runs on the engine's thread when an event arrives in an empty stream. It must be
  // cheap and must not call back into the stream: it runs under the stream's lock, so that once
  // next() has returned the last event it is over and what it refers to may go.
  explicit TokenStream(std::function<void()> on_ready) : on_ready_(std::move(on_ready)) {}

  std::optional<StreamEvent> next();  // never waits
  void push(StreamEvent event);

 private:
  std::mutex mutex_;
  std::deque<StreamEvent> events_;
  std::function<void()> on_ready_;
};

// A snapshot for /metrics, /health and the start-up report.
struct EngineStats {
  int running = 0, waiting = 0;
  int max_running = 0;
  int total_blocks = 0;        // of the device tier
  int free_blocks = 0;         // holding nothing
  int cached_blocks = 0;       // holding a shared prefix nobody uses now: reclaimable
  int host_blocks = 0;         // of the host's tier; of them
  int host_cached_blocks = 0;  // holding a prefix
  int64_t steps = 0;
  int token_budget = 0;       // most tokens the last step might compute
  int64_t prompt_tokens = 0;  // admitted so far
  int64_t generated_tokens = 0;
  int64_t cached_prompt_tokens = 0;  // of the admitted ones, those served from the prefix cache
  int64_t host_cached_prompt_tokens = 0;  // and of these, from the host's tier
  int64_t drafted_tokens = 0;             // guesses that were verified; of them
  int64_t accepted_drafts = 0;            // the right ones
  int64_t preemptions = 0;
  int64_t last_step_us = 0;  // clock at the end of the last step
  bool draining = false;     // accepts no new requests
  bool failed = false;       // the executor failed; nothing will run again
};

class EngineClient {  // thread-safe
 public:
  virtual ~EngineClient() = default;

  // A request id for submit: ascending, never used before.
  virtual sched::RequestId next_id() = 0;
  // Refuses at once what can never fit (kTooLong, kInvalid) and, when the inbox is full or the
  // engine drains, kOverloaded. Otherwise the stream ends in exactly one event with `finish`.
  virtual Result<std::shared_ptr<TokenStream>> submit(sched::Request request,
                                                      std::function<void()> on_ready) = 0;
  // The stream still ends with one event (kCancelled). Unknown and finished ids are ignored.
  virtual void cancel(sched::RequestId id) = 0;
  virtual EngineStats stats() const = 0;
};

}  // namespace erne::engine
