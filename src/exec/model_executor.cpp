#include "exec/model_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "sample/sampler.h"
#include "sched/sequence.h"

namespace erne::exec {
namespace {

// Scoring a prompt asks for logits of every row; they are made this many rows at a time, so that a
// vocabulary of 103,424 costs at most 26 MB for them.
constexpr int kScoringRows = 64;

model::StepLimits step_limits(const ExecutorOptions& options) {
  return {options.max_tokens, std::max(options.max_rows, kScoringRows)};
}

}  // namespace

ModelExecutor::ModelExecutor(Backend& backend, const model::Model& model,
                             const ExecutorOptions& options)
    : backend_(backend),
      model_(model),
      options_(options),
      geometry_{options.num_blocks, 0, options.block_tokens,
                model::kv_block_bytes(model.config(), options.kv_dtype, options.block_tokens)},
      kv_(backend, model.config(), options.kv_dtype, options.num_blocks, options.block_tokens),
      workspace_(backend, model.config(), model.activation(), step_limits(options)),
      logits_(backend.allocate(
          sizeof(float) * step_limits(options).max_logit_rows * model.config().vocab_size,
          Space::kPinnedHost)) {
  CHECK_GT(options_.num_valid_tokens, 0);
  CHECK_LE(options_.num_valid_tokens, model.config().vocab_size);
}

size_t ModelExecutor::workspace_bytes(const model::Model& model, const ExecutorOptions& options) {
  const model::StepLimits limits = step_limits(options);
  return model::Workspace::bytes(model.config(), model.activation(), limits) +
         sizeof(float) * limits.max_logit_rows * model.config().vocab_size;
}

sched::StepResult ModelExecutor::run(const sched::BatchPlan& plan) {
  stage(plan);
  if (!copies_.empty()) backend_.copy_blocks(kv_.views(), copies_);
  sched::StepResult result{plan.step, std::vector<sched::RowResult>(plan.rows.size())};
  if (plan.rows.empty()) return result;
  const model::StepInputs inputs{plan.tokens, positions_, slots_, {ragged_, plan.blocks}};
  model_.forward(backend_, inputs, kv_.views(), workspace_);
  list_uses(plan);
  if (auto failure = use_logits(plan, result)) return {plan.step, {}, std::move(failure)};
  return result;
}

void ModelExecutor::stage(const sched::BatchPlan& plan) {
  positions_.clear();
  slots_.clear();
  ragged_.clear();
  copies_.clear();
  for (const kv::BlockCopy& copy : plan.copies) copies_.emplace_back(copy.from, copy.to);
  for (const sched::PlanRow& row : plan.rows) stage_row(plan, row);
  CHECK_LE(positions_.size(), static_cast<size_t>(options_.max_tokens));
}

void ModelExecutor::stage_row(const sched::BatchPlan& plan, const sched::PlanRow& row) {
  ragged_.push_back({row.tokens.begin, row.count, row.first, row.blocks.begin});
  for (int position = row.first; position < row.first + row.count; ++position) {
    const int block = row.blocks.begin + position / options_.block_tokens;
    CHECK_LT(block, row.blocks.end);
    positions_.push_back(position);
    slots_.push_back(plan.blocks[block] * options_.block_tokens + position % options_.block_tokens);
  }
}

void ModelExecutor::list_uses(const sched::BatchPlan& plan) {
  uses_.clear();
  for (int r = 0; r < static_cast<int>(plan.rows.size()); ++r) {
    const sched::PlanRow& row = plan.rows[r];
    const int end = row.first + row.count;
    if (row.wants_prompt_logprobs) {
      const int last = std::min(end, row.sequence->prompt_size() - 1);
      for (int position = row.first; position < last; ++position)
        uses_.push_back({r, position, false});
    }
    if (row.wants_token)
      for (int position = end - 1 - row.drafts; position < end; ++position)
        uses_.push_back({r, position, true});
  }
}

std::optional<Status> ModelExecutor::use_logits(const sched::BatchPlan& plan,
                                                sched::StepResult& result) {
  const int64_t vocabulary = model_.config().vocab_size;
  const size_t at_once = step_limits(options_).max_logit_rows;
  for (size_t begin = 0; begin < uses_.size(); begin += at_once) {
    const std::span uses = std::span(uses_).subspan(begin, std::min(at_once, uses_.size() - begin));
    logit_rows_.clear();
    for (const LogitUse& use : uses) {
      const sched::PlanRow& row = plan.rows[use.plan_row];
      logit_rows_.push_back(row.tokens.begin + use.position - row.first);
    }
    const TensorView logits{
        logits_.data(), DType::kF32, {static_cast<int64_t>(uses.size()), vocabulary}};
    model_.logits(backend_, logit_rows_, workspace_, {logits});
    for (size_t i = 0; i < uses.size(); ++i) {
      const std::span<float> row(logits.as<float>() + i * vocabulary, options_.num_valid_tokens);
      if (std::any_of(row.begin(), row.end(), [](float v) { return std::isnan(v); }))
        return Status{
            Code::kInternal,
            fmt::format("the model computed NaN at step {}: are its weights damaged?", plan.step)};
      use_one(plan, uses[i], row, result.rows[uses[i].plan_row]);
    }
  }
  return std::nullopt;
}

void ModelExecutor::use_one(const sched::BatchPlan& plan, const LogitUse& use,
                            std::span<float> logits, sched::RowResult& result) {
  const sched::PlanRow& row = plan.rows[use.plan_row];
  const sched::Request& request = row.sequence->request;
  if (!use.for_token) {
    result.prompt_logprobs.push_back(sample::logprobs(logits, request.prompt[use.position + 1],
                                                      request.sampling.prompt_logprobs));
    return;
  }
  // Verification by exact match: a draft is accepted while it equals what would have been sampled
  // in its place, so drafts change the speed and never a token.
  const std::span row_tokens(plan.tokens.data() + row.tokens.begin, row.count);
  const int draft = use.position - (row.first + row.count - 1 - row.drafts);  // drafts before it
  if (draft > 0) {
    const bool previous_matched =
        static_cast<int>(result.accepted.size()) == draft &&
        result.accepted.back() == row_tokens[row.count - row.drafts + draft - 1];
    if (!previous_matched) return;
  }
  history_ = row.sequence->tokens;
  history_.insert(history_.end(), result.accepted.begin(), result.accepted.end());

  std::vector<float>
      own;  // sampling overwrites its logits, log-probabilities are of the model's own
  if (request.sampling.logprobs >= 0) own.assign(logits.begin(), logits.end());
  const sched::TokenId token = sample::sample(logits, request.sampling, request.stop,
                                              {history_, row.sequence->prompt_size()});
  result.accepted.push_back(token);
  if (!own.empty())
    result.logprobs.push_back(sample::logprobs(own, token, request.sampling.logprobs));
}

}  // namespace erne::exec
