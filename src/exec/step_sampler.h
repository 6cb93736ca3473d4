// Turns the logits of a step into the results of its rows. It says which logits it wants, takes
// them in batches, and works on the rows of a batch in parallel: tokens are sampled and drafts
// verified (row_sampler.h, verifier.h), prompts are scored, and new drafts proposed (drafter.h).
// Where the back end samples it draws the tokens of rows that need no more than a draw; of those no
// logits are wanted. Knows no device and no model. Lives on the engine's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "exec/drafter.h"
#include "exec/row_sampler.h"
#include "exec/verifier.h"
#include "sched/executor.h"

namespace erne::exec {

// body(i) for each i in [0, count), in any order and on any threads.
using ParallelFor = std::function<void(int64_t count, const std::function<void(int64_t)>& body)>;

class StepSampler {
 public:
  // `max_logit_rows`: of a batch. `backend_samples`: it can draw tokens. Without a drafter nothing
  // is proposed; without a maker of constraints no request has one.
  StepSampler(int max_logit_rows, bool backend_samples, ParallelFor parallel_for,
              std::unique_ptr<const Drafter> drafter = nullptr,
              ConstraintMaker make_constraint = nullptr);

  // A step begins. `plan` and `result`, which has a row for each of the plan's, are valid until its
  // last batch was taken.
  void begin(const sched::BatchPlan& plan, sched::StepResult& result);
  // Prepares the constraints of the rows, which takes no logits: for while the device computes
  // them.
  void prepare();
  // What the next batch needs, valid until the next call.
  struct Wanted {
    std::span<const int32_t> tokens;   // whose logits, as places in BatchPlan::tokens; empty: the
                                       // step is over
    std::span<const TokenDraw> draws;  // of the first of them, whose tokens the back end draws
  };
  Wanted next_batch();
  // What came of it.
  struct Batch {
    std::span<const int32_t> drawn;  // one for each of the draws; -1: a logit was NaN
    std::span<float> logits;         // of the other rows, one every `stride`; are overwritten
    int64_t stride;
    int64_t num_tokens;  // of each row; what follows is padding of the vocabulary

    // Row `index` of the batch, which is not drawn.
    std::span<float> row(int index) const {
      return logits.subspan((static_cast<size_t>(index) - drawn.size()) * stride, num_tokens);
    }
  };
  // False: the model computed a NaN.
  bool take_batch(const Batch& batch);

 private:
  // Logits that are used together: of one position, or of those where a row's drafts are verified.
  struct Use {
    int plan_row;      // into BatchPlan::rows
    int position;      // of the first token whose logits are used: they predict position + 1
    int num_logits;    // as many positions, one after the other
    bool for_token;    // else: to score the prompt token at position + 1
    bool is_drawn;     // by the back end
    int first_logits;  // of the batch
  };

  void list_uses();
  void use(const Use& use, const Batch& batch);
  void score_prompt(const Use& use, const Batch& batch);
  void accept_tokens(const Use& use, const Batch& batch);
  void choose_tokens(const Use& use, const Batch& batch, RowSampler& sampler, Verifier& verifier);
  sample::Best look_at(std::span<const float> logits);

  const int max_logit_rows_;
  const bool backend_samples_;
  const ParallelFor parallel_for_;
  const std::unique_ptr<const Drafter> drafter_;
  const ConstraintMaker make_constraint_;
  const sched::BatchPlan* plan_ = nullptr;
  sched::StepResult* result_ = nullptr;
  std::vector<int> constrained_;       // rows with notes of a request's, into BatchPlan::rows
  std::vector<Use> uses_;              // those that are drawn first
  std::span<Use> left_, batch_;        // of uses_
  std::vector<int32_t> logit_tokens_;  // of the batch
  std::vector<TokenDraw> draws_;       // likewise
  std::atomic<bool> found_nan_ = false;
};

}  // namespace erne::exec
