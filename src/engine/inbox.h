// The way into the engine: any thread puts requests and cancellations in, the engine's thread takes
// them out between two steps.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/status.h"
#include "engine/engine_client.h"
#include "sched/request.h"

namespace erne::engine {

struct Submission {
  sched::Request request;
  std::shared_ptr<TokenStream> stream;
  int64_t submitted_us = 0;
};

enum class Service {  // only ever moves down this list
  kOpen,
  kDraining,  // takes nothing new, finishes what it has
  kStopping,  // takes nothing new, cancels what it has
};

struct Messages {
  std::vector<Submission> submissions;    // came before
  std::vector<sched::RequestId> cancels;  // whichever of them these are about
  Service service = Service::kOpen;
};

class Inbox {  // thread-safe
 public:
  explicit Inbox(int max_waiting) : max_waiting_(max_waiting) {}

  // kOverloaded while `max_waiting` requests wait, here or in the scheduler, and once it is closed;
  // after fail() the failure. What it accepts, some take() returns.
  Result<void> submit(Submission submission);
  void cancel(sched::RequestId id);
  void close(Service service);

  // The engine's side.
  Messages take();                    // never waits; its submissions count as waiting until
  void set_waiting(int num_waiting);  // says how many wait in the scheduler
  void fail(Status failure);
  void wait();  // until there is something new to take

 private:
  const int max_waiting_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  Messages messages_;
  bool service_changed_ = false;  // since the last take()
  int num_taken_ = 0;             // and not yet running
  std::optional<Status> failure_;
};

}  // namespace erne::engine
