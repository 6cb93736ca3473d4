#include "exec/step_sampler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "exec/verifier.h"

namespace erne::exec {

StepSampler::StepSampler(int max_logit_rows, bool backend_samples, ParallelFor parallel_for,
                         std::unique_ptr<const Drafter> drafter, ConstraintMaker make_constraint)
    : max_logit_rows_(max_logit_rows),
      backend_samples_(backend_samples),
      parallel_for_(std::move(parallel_for)),
      drafter_(std::move(drafter)),
      make_constraint_(std::move(make_constraint)) {}

void StepSampler::begin(const sched::BatchPlan& plan, sched::StepResult& result) {
  CHECK_EQ(result.rows.size(), plan.rows.size());
  plan_ = &plan;
  result_ = &result;
  found_nan_ = false;
  list_uses();
  left_ = uses_;
}

void StepSampler::list_uses() {
  uses_.clear();
  for (int r = 0; r < static_cast<int>(plan_->rows.size()); ++r) {
    const sched::PlanRow& row = plan_->rows[r];
    const int end = row.first + row.count;
    if (row.wants_prompt_logprobs) {
      const int last = std::min(end, row.sequence->prompt_size() - 1);
      for (int position = row.first; position < last; ++position)
        uses_.push_back({r, position, 1, false, false, 0});
      result_->rows[r].prompt_logprobs.resize(std::max(last - row.first, 0));
    }
    if (!row.wants_token) continue;
    const bool is_drawn =
        backend_samples_ &&
        RowSampler(*row.sequence, *row.notes, make_constraint_).needs_only_draws();
    uses_.push_back({r, end - 1 - row.drafts, 1 + row.drafts, true, is_drawn, 0});
  }
  std::ranges::stable_partition(uses_, &Use::is_drawn);
}

StepSampler::Wanted StepSampler::next_batch() {
  logit_tokens_.clear();
  draws_.clear();
  size_t count = 0;
  for (Use& use : left_) {
    CHECK_LE(use.num_logits, max_logit_rows_);
    const int first = static_cast<int>(logit_tokens_.size());
    if (first + use.num_logits > max_logit_rows_) break;
    use.first_logits = first;
    const sched::PlanRow& row = plan_->rows[use.plan_row];
    for (int i = 0; i < use.num_logits; ++i) {
      logit_tokens_.push_back(row.tokens.begin + use.position - row.first + i);
      const sched::Sequence& sequence = *row.sequence;
      const auto position = static_cast<int>(sequence.tokens.size()) + i;
      if (use.is_drawn) draws_.push_back(sample::token_draw(sequence.request.sampling, position));
    }
    ++count;
  }
  batch_ = left_.first(count);
  left_ = left_.subspan(count);
  return {logit_tokens_, draws_};
}

bool StepSampler::take_batch(const Batch& batch) {
  CHECK_EQ(batch.drawn.size(), draws_.size());
  parallel_for_(static_cast<int64_t>(batch_.size()),
                [&](int64_t i) { use(batch_[static_cast<size_t>(i)], batch); });
  return !found_nan_;
}

void StepSampler::use(const Use& use, const Batch& batch) {
  use.for_token ? accept_tokens(use, batch) : score_prompt(use, batch);
}

sample::Best StepSampler::look_at(std::span<const float> logits) {
  const sample::Best best = sample::find_best(logits);
  if (best.has_nan) found_nan_ = true;
  return best;
}

void StepSampler::score_prompt(const Use& use, const Batch& batch) {
  const sched::PlanRow& row = plan_->rows[use.plan_row];
  const sched::Request& request = row.sequence->request;
  const std::span<const float> logits = batch.row(use.first_logits);
  result_->rows[use.plan_row].prompt_logprobs[use.position - row.first] = sample::logprobs(
      logits, look_at(logits), request.prompt[use.position + 1], request.sampling.prompt_logprobs);
}

void StepSampler::prepare() {
  constrained_.clear();
  for (int r = 0; r < static_cast<int>(plan_->rows.size()); ++r)
    if (plan_->rows[r].wants_token && plan_->rows[r].sequence->request.notes != nullptr)
      constrained_.push_back(r);
  if (constrained_.empty()) return;
  parallel_for_(static_cast<int64_t>(constrained_.size()), [&](int64_t i) {
    const sched::PlanRow& row = plan_->rows[constrained_[static_cast<size_t>(i)]];
    // What fails now fails again when the row is sampled.
    (void)RowSampler(*row.sequence, *row.notes, make_constraint_).prepare();
  });
}

void StepSampler::accept_tokens(const Use& use, const Batch& batch) {
  const sched::PlanRow& row = plan_->rows[use.plan_row];
  sched::RowResult& result = result_->rows[use.plan_row];
  const std::span row_tokens(plan_->tokens.data() + row.tokens.begin, row.count);
  Verifier verifier(row_tokens.last(row.drafts));
  if (use.is_drawn) {
    for (int i = use.first_logits; verifier.wants_token(); ++i) {
      verifier.take(batch.drawn[i]);
      if (batch.drawn[i] < 0) found_nan_ = true;
    }
  } else {
    RowSampler sampler(*row.sequence, *row.notes, make_constraint_);
    choose_tokens(use, batch, sampler, verifier);
    if (result.failure) return;
    result.drafts = sampler.likely();
  }
  const std::span accepted = verifier.accepted();
  result.accepted.assign(accepted.begin(), accepted.end());
  if (result.drafts.empty() && drafter_ != nullptr) {
    const sched::Sequence& sequence = *row.sequence;
    result.drafts = drafter_->propose({sequence.tokens, sequence.prompt_size(), accepted});
  }
}

void StepSampler::choose_tokens(const Use& use, const Batch& batch, RowSampler& sampler,
                                Verifier& verifier) {
  sched::RowResult& result = result_->rows[use.plan_row];
  for (int i = use.first_logits; verifier.wants_token(); ++i) {
    if (const Result<void> prepared = sampler.prepare(); !prepared.ok()) {
      result.failure = prepared.status();
      return;
    }
    const std::span<float> logits = batch.row(i);
    verifier.take(sampler.choose(logits, look_at(logits), verifier.accepted(), result.logprobs));
  }
}

}  // namespace erne::exec
