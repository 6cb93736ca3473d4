// The scheduler decides which sequence computes which tokens in the next step. It owns every
// sequence that has not ended, and with it the sequence's claim on KV blocks. The engine's thread
// alone calls it: add() and cancel() when requests come and go, plan() before a step and commit()
// after it. There is no clock, lock or device here: a plan follows from the calls so far.
//
// The tokens of a step are its budget. A plan is made of it like this:
//   1. Running sequences, most important first (by priority, then by id), get blocks for their
//      work. Where blocks are short, the sequence that is the first to yield (turns.h) is
//      preempted: it gives its blocks back and waits again. What it published stays cached, so
//      coming back is a prefix hit and needs no state of its own.
//   2. Every running sequence has one token of the budget, so none ever stands still. Of what is
//      spare, drafts get theirs first, then prompts.
//   3. While a long prompt is under way, half of the spare tokens are kept for it, and the other
//      half goes to short prompts: the one with the fewest tokens left first. So a short prompt is
//      done after a few steps, whatever long ones there are, and after as many steps as it has
//      tokens at the latest. Long prompts divide evenly what short ones leave.
//   4. Waiting sequences begin in the order of their turns while rows, spare tokens and blocks
//      last. Where rows or blocks are short, a client that holds more than its share yields some. A
//      prompt that the limits do not let begin is passed by others; where blocks are short, none
//      overtakes.
//
// The most important running sequence yields to none and advances in every step, so whatever fits
// alone finishes.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kv/kv_cache.h"
#include "sched/executor.h"
#include "sched/limits.h"
#include "sched/request.h"
#include "sched/sequence.h"
#include "sched/turns.h"

namespace erne::sched {

struct SchedulerStats {
  int running = 0, waiting = 0;
  int64_t prompt_tokens = 0;              // of requests admitted so far
  int64_t cached_prompt_tokens = 0;       // of those, found in the prefix cache
  int64_t host_cached_prompt_tokens = 0;  // and of these, in its tier on the host
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
  bool secure_blocks();  // true: somebody was preempted
  void preempt(Sequence& sequence);

  void give_one_token_each(int token_budget);
  void share_out(bool may_admit);
  // Up to `most` tokens of what is spare.
  void give(Sequence& sequence, int most);
  void give_short_prompts(int most);
  void give_long_prompts();
  // That want more tokens, and are as important as this.
  std::vector<Sequence*> long_prompts(int least_priority) const;
  bool is_long(const Sequence& sequence) const;
  // Whether it has a prompt of which some tokens are in no plan yet.
  static bool is_unfinished(const Sequence& sequence) {
    return !sequence.decodes() && sequence.planned < sequence.work();
  }

  // How soon a short prompt gets tokens: by priority, then by the number that it still wants.
  using Want = std::pair<int, int>;
  static constexpr Want kNobodyWants{std::numeric_limits<int>::max(),
                                     std::numeric_limits<int>::max()};
  static Want want_of(const Sequence* sequence) {
    return {sequence->request.priority, sequence->work() - sequence->planned};
  }
  Want shortest_want() const;  // of those that run

  // Begins waiting sequences that want tokens no later than `before`. `kept_for_long` of the spare
  // tokens are for long prompts.
  void admit(const Want& before, int kept_for_long);
  bool may_begin(const Sequence& sequence, int kept_for_long) const;
  bool hold_blocks(Sequence& sequence);
  void begin(Sequence& sequence);
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
  Turns turns_;                                                    // of those that wait
  int spare_ = 0;        // while a plan is made: tokens of its budget that nobody has
  int overdraft_ = 0;    // likewise: tokens beyond the budget, since every running sequence has one
  int scored_left_ = 0;  // likewise: prompt tokens that may still be scored
  BatchPlan plan_;
  std::vector<Sequence*> planned_;  // of plan_.rows
  bool in_flight_ = false;          // between plan and commit
  std::vector<TokenEvent> ended_;   // for the next commit
  std::vector<TokenEvent> events_;  // of the last commit
  SchedulerStats stats_;
};

}  // namespace erne::sched
