// Which sequence computes which tokens in the next step.
//
// Sequences are ordered by importance: priority, then id. A plan is made in four passes:
//   1. running sequences, most important first, get blocks for their work; where blocks are short,
//   the
//      least important running one is preempted: it gives back its blocks and waits again. What it
//      published stays cached, so coming back is a prefix hit and needs no state of its own.
//   2. every running sequence owns one token of the step's budget, so none ever stands still. What
//      is spare goes to drafts first, then to prompts, most important first.
//   3. waiting sequences are admitted in order while rows, spare tokens and blocks last. None
//   overtakes,
//      so none starves but by a stream of more important ones.
//   4. rows are written in order of importance.
//
// The most important sequence in the engine can take every block and always advances, so whatever
// fits alone finishes.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "kv/kv_cache.h"
#include "sched/executor.h"
#include "sched/limits.h"
#include "sched/request.h"
#include "sched/sequence.h"

namespace erne::sched {

struct SchedulerStats {
  int running = 0, waiting = 0;
  int64_t prompt_tokens = 0;         // of requests admitted so far
  int64_t cached_prompt_tokens = 0;  // of those, found in the prefix cache
  int64_t generated_tokens = 0;
  int64_t drafted_tokens = 0;  // verified; of them
  int64_t accepted_drafts = 0;
  int64_t preemptions = 0;
};

class Scheduler {
 public:
  // CHECKs check_limits(). The cache outlives the scheduler, which is the only one to use it.
  Scheduler(const Limits& limits, kv::KvCache& cache);

  // Refuses what can never fit (check_request) and, when max_waiting requests wait, kOverloaded.
  Result<void> add(Request request);
  // At any time, also between plan and commit. Ends the request with kCancelled in the next
  // commit's events; its blocks are free then at the latest. Unknown ids are ignored: it may just
  // have ended.
  void cancel(RequestId id);

  // Every plan is committed before the next one, an empty plan with an empty result: a commit is
  // also where the ends of cancelled requests come out. Steps ascend. The plan is valid until its
  // commit.
  // `token_budget`: most tokens to compute in this step. Any value will do: every running sequence
  // keeps its one token, limits.max_tokens is never exceeded, and without limits.chunk_prompts
  // nothing is cut. It is an input, not a choice of the scheduler's, so that a plan follows from
  // messages and budgets whatever the clock said.
  const BatchPlan& plan(Step step, int token_budget);
  // What the next step decodes: a token of each running sequence that has no prompt left to
  // compute, and its drafts. The rest of a step's tokens are prompts'.
  int decode_tokens() const;
  // The events are the caller's to move from, and valid until the next commit. A failure ends every
  // request with kError.
  std::span<TokenEvent> commit(StepResult result);

  bool idle() const { return live_.empty() && ended_.empty(); }  // nothing to plan or to report
  const SchedulerStats& stats() const { return stats_; }
  void check_invariants() const;

 private:
  struct MoreImportant {
    bool operator()(const Sequence* a, const Sequence* b) const;
  };

  bool secure_blocks();  // pass 1; true: somebody was preempted
  void preempt_least_important();
  int spare_tokens(int token_budget) const;
  int share_out(int spare);  // pass 2; returns what is left
  void admit(int spare);
  bool try_admit(Sequence& sequence, int spare);
  void write_row(Sequence& sequence);

  void commit_row(Sequence& sequence, const PlanRow& row, RowResult& result);
  void take_prompt_logprobs(Sequence& sequence, const PlanRow& row, RowResult& result,
                            TokenEvent& event);
  std::optional<FinishReason> take_tokens(Sequence& sequence, const PlanRow& row, RowResult& result,
                                          TokenEvent& event);
  void take_drafts(Sequence& sequence, const PlanRow& row, RowResult& result);
  void end(Sequence& sequence, FinishReason reason, TokenEvent event,
           std::vector<TokenEvent>& events);
  void end_all(const Status& failure);
  void update_counts();

  const Limits limits_;
  kv::KvCache& cache_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> live_;  // never iterated to decide
  std::vector<Sequence*> running_;                                 // most important first
  std::set<Sequence*, MoreImportant> waiting_;
  BatchPlan plan_;
  std::vector<Sequence*> planned_;  // of plan_.rows
  bool in_flight_ = false;          // between plan and commit
  std::vector<TokenEvent> ended_;   // for the next commit
  std::vector<TokenEvent> events_;  // of the last commit
  SchedulerStats stats_;
};

}  // namespace erne::sched
