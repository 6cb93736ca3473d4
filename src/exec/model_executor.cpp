#include "exec/model_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

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
                             const ExecutorOptions& options, std::unique_ptr<const Drafter> drafter)
    : backend_(backend),
      model_(model),
      options_(options),
      geometry_{options.num_blocks, 0, options.block_tokens,
                model::kv_block_bytes(model.config(), options.kv_dtype, options.block_tokens)},
      kv_(backend, model.config(), options.kv_dtype, options.num_blocks, options.block_tokens),
      workspace_(backend, model.config(), model.activation(), step_limits(options)),
      logits_(backend.allocate(
          sizeof(float) * step_limits(options).max_logit_rows * model.config().vocab_size,
          Space::kPinnedHost)),
      sampler_(
          step_limits(options).max_logit_rows,
          [&backend](int64_t count, const auto& body) { backend.parallel_for(count, body); },
          std::move(drafter)) {
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
  if (auto failure = sample(plan, result)) return {plan.step, {}, std::move(failure)};
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

std::optional<Status> ModelExecutor::sample(const sched::BatchPlan& plan,
                                            sched::StepResult& result) {
  const int64_t vocabulary = model_.config().vocab_size;
  sampler_.begin(plan, result);
  while (true) {
    const std::span<const int32_t> tokens = sampler_.next_batch();
    if (tokens.empty()) return std::nullopt;
    const TensorView logits{logits_.data(), DType::kF32, {std::ssize(tokens), vocabulary}};
    model_.logits(backend_, tokens, workspace_, {logits});
    const std::span values(logits.as<float>(), tokens.size() * vocabulary);
    if (!sampler_.take_batch(values, vocabulary, options_.num_valid_tokens))
      return Status{
          Code::kInternal,
          fmt::format("the model computed NaN at step {}: are its weights damaged?", plan.step)};
  }
}

}  // namespace erne::exec
