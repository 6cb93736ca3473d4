// The engine is the loop of a server. A turn of it, a step, takes the messages that have come in,
// asks the scheduler for a plan, lets the executor run it, commits the results, and hands every
// request's events to its stream. One thread calls run() or step(); it owns the scheduler, the KV
// cache and the producing end of every stream. Other threads use client(), drain() and stop().
//
// A request's way goes on from here to sched/scheduler.h, which plans and commits, and to whichever
// sched::Executor apps/ chose to run plans: usually exec/model_executor.h.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "base/clock.h"
#include "engine/engine_client.h"
#include "engine/inbox.h"
#include "engine/local_engine_client.h"
#include "engine/step_pacer.h"
#include "kv/kv_cache.h"
#include "sched/executor.h"
#include "sched/scheduler.h"

namespace erne::engine {

class Engine {
 public:
  // CHECKs sched::check_limits() with the executor's geometry. Executor and clock outlive the
  // engine. decode_slowdown: what prompts may make of decoding sequences' steps (StepPacer); at
  // least 1. Without limits.chunk_prompts there is nothing to pace.
  Engine(sched::Executor& executor, const sched::Limits& limits, const Clock& clock,
         double decode_slowdown = kNoPacing);
  ~Engine();  // cancels what is left; run() must have returned

  // Steps until stopped, drained or failed, then returns; waits without spinning where there is
  // nothing to do.
  void run();
  // One turn. False: nothing is left to do until a message comes.
  bool step();

  // Thread-safe from here on. The client dies with the engine.
  EngineClient& client() { return client_; }
  void drain() { inbox_.close(Service::kDraining); }  // run() returns when every request has ended
  void stop() { inbox_.close(Service::kStopping); }   // every request ends with kCancelled

 private:
  struct Recipient {
    std::shared_ptr<TokenStream> stream;
    int64_t submitted_us = 0, first_scheduled_us = 0;
  };

  void deliver(Messages messages);
  void accept(Submission submission);
  sched::StepResult run(const sched::BatchPlan& plan);
  void note_first_scheduled(const sched::BatchPlan& plan, int64_t now_us);
  void publish(std::span<sched::TokenEvent> events);
  void store_stats();

  sched::Executor& executor_;
  const Clock& clock_;
  kv::KvCache cache_;
  sched::Scheduler scheduler_;
  StepPacer pacer_;
  Inbox inbox_;
  StatsBoard board_;
  LocalEngineClient client_;
  // Where the events of requests go that have not ended.
  std::unordered_map<sched::RequestId, Recipient> recipients_;
  const int max_running_;
  sched::Step step_ = 0;
  int token_budget_;  // of the last step
  int64_t num_computed_steps_ = 0;
  Service service_ = Service::kOpen;
  std::optional<Status> failure_;
};

}  // namespace erne::engine
