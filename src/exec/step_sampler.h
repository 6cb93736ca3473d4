// Turns the logits of a step into the results of its rows. It says which logits it wants, takes
// them in batches, and works on the rows of a batch in parallel: tokens are sampled and drafts
// verified (row_sampler.h, verifier.h), prompts are scored, and new drafts proposed (drafter.h).
// Knows no device and no model. Lives on the engine's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "exec/drafter.h"
#include "exec/row_sampler.h"
#include "sched/executor.h"

namespace erne::exec {

// body(i) for each i in [0, count), in any order and on any threads.
using ParallelFor = std::function<void(int64_t count, const std::function<void(int64_t)>& body)>;

class StepSampler {
 public:
  // `max_logit_rows`: of a batch. Without a drafter nothing is proposed; without a maker of
  // constraints no request has one.
  StepSampler(int max_logit_rows, ParallelFor parallel_for,
              std::unique_ptr<const Drafter> drafter = nullptr,
              ConstraintMaker make_constraint = nullptr);

  // A step begins. `plan` and `result`, which has a row for each of the plan's, are valid until its
  // last batch was taken.
  void begin(const sched::BatchPlan& plan, sched::StepResult& result);
  // The tokens of the plan whose logits the next batch needs, as places in BatchPlan::tokens.
  // Empty: the step is over.
  std::span<const int32_t> next_batch();
  // Row r of the batch: logits [r * stride, r * stride + num_tokens), which are overwritten. Tokens
  // beyond num_tokens are padding of the vocabulary. False: the model computed a NaN.
  bool take_batch(std::span<float> logits, int64_t stride, int64_t num_tokens);

 private:
  // Logits that are used together: of one position, or of those where a row's drafts are verified.
  struct Use {
    int plan_row;      // into BatchPlan::rows
    int position;      // of the first token whose logits are used: they predict position + 1
    int num_logits;    // as many positions, one after the other
    bool for_token;    // else: to score the prompt token at position + 1
    int first_logits;  // of the batch
  };
  struct Batch {
    std::span<float> logits;
    int64_t stride, num_tokens;
    std::span<float> row(int index) const {
      return logits.subspan(static_cast<size_t>(index * stride), num_tokens);
    }
  };

  void list_uses();
  void use(const Use& use, const Batch& batch);
  void score_prompt(const Use& use, const Batch& batch);
  void sample_row(const Use& use, const Batch& batch);
  sample::Best look_at(std::span<const float> logits);

  const int max_logit_rows_;
  const ParallelFor parallel_for_;
  const std::unique_ptr<const Drafter> drafter_;
  const ConstraintMaker make_constraint_;
  const sched::BatchPlan* plan_ = nullptr;
  sched::StepResult* result_ = nullptr;
  std::vector<Use> uses_;
  std::span<Use> left_, batch_;        // of uses_
  std::vector<int32_t> logit_tokens_;  // of the batch
  std::atomic<bool> found_nan_ = false;
};

}  // namespace erne::exec
