#include "exec/model_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backend/device_failure.h"
#include "base/check.h"

namespace erne::exec {
namespace {

// Scoring a prompt asks for logits of every row; they are made this many rows at a time, so that a
// vocabulary of 103,424 costs at most 26 MB for them.
constexpr int kScoringRows = 64;

model::StepLimits step_limits(const ExecutorOptions& options) {
  return {options.max_tokens, std::max(options.max_rows, kScoringRows)};
}

StagingLimits staging_limits(const model::ErnieConfig& config, const ExecutorOptions& options) {
  const int longest = options.max_sequence_tokens / options.block_tokens + 2;  // and drafts
  const int row_blocks =
      options.max_sequence_tokens > 0 ? std::min(longest, options.num_blocks) : options.num_blocks;
  return {.max_tokens = options.max_tokens,
          .max_rows = options.max_rows,
          .max_table_blocks = int64_t{options.max_rows} * row_blocks,
          .max_logit_rows = step_limits(options).max_logit_rows,
          .num_token_ids = config.vocab_size,
          .num_blocks = options.num_blocks,
          .block_tokens = options.block_tokens};
}

}  // namespace

ModelExecutor::ModelExecutor(Backend& backend, const model::Model& model,
                             const ExecutorOptions& options, std::unique_ptr<const Drafter> drafter,
                             ConstraintMaker make_constraint)
    : backend_(backend),
      model_(model),
      options_(options),
      kv_(backend, model.config(), options.kv_dtype,
          {.device_blocks = options.num_blocks,
           .host_blocks = options.host_blocks,
           .block_tokens = options.block_tokens}),
      workspace_(backend, model.config(), model.activation(), step_limits(options)),
      logits_(backend.allocate(sizeof(float) * step_limits(options).max_logit_rows *
                               model.config().vocab_size)),
      drawn_(backend.allocate(sizeof(int32_t) * step_limits(options).max_logit_rows)),
      logits_readback_(backend),
      drawn_readback_(backend),
      staging_(options.block_tokens),
      inputs_(backend, staging_limits(model.config(), options)),
      sampler_(
          step_limits(options).max_logit_rows, backend_draws(),
          [&backend](int64_t count, const auto& body) { backend.parallel_for(count, body); },
          std::move(drafter), std::move(make_constraint)) {
  CHECK_GT(options_.num_valid_tokens, 0);
  CHECK_LE(options_.num_valid_tokens, model.config().vocab_size);
}

size_t ModelExecutor::workspace_bytes(const model::ErnieConfig& config, DType activation,
                                      const ExecutorOptions& options) {
  const model::StepLimits limits = step_limits(options);
  return model::Workspace::bytes(config, activation, limits) +
         (sizeof(float) * config.vocab_size + sizeof(int32_t)) * limits.max_logit_rows +
         StagingArea::bytes(staging_limits(config, options));
}

size_t ModelExecutor::rehearsed_bytes(Backend& rehearsal, const model::Model& outline,
                                      const ExecutorOptions& options) {
  ModelExecutor executor(rehearsal, outline, options);
  executor.warm_up();
  const MemoryInfo memory = rehearsal.memory();
  const size_t blocks = executor.kv_.geometry().block_bytes * options.num_blocks;
  return memory.total_bytes - memory.available_bytes - blocks;
}

void ModelExecutor::warm_up() {
  const int longest = longest_sequence();
  compute((options_.max_tokens + longest - 1) / longest, options_.max_tokens);
  compute(options_.max_rows, options_.max_rows);
  backend_.finish();
}

int ModelExecutor::longest_sequence() const {
  const int64_t of_blocks = int64_t{options_.num_blocks} * options_.block_tokens;
  return options_.max_sequence_tokens > 0
             ? options_.max_sequence_tokens
             : static_cast<int>(std::min<int64_t>(of_blocks, kMaxPosition));
}

// Rows that end where a sequence does at its longest, and all logits that a step may want. Every
// block of theirs is block 0, whatever is in it.
void ModelExecutor::compute(int num_rows, int num_tokens) {
  const int longest = longest_sequence();
  const int row_blocks = (longest + options_.block_tokens - 1) / options_.block_tokens;
  std::vector<RaggedRow> rows;
  for (int row = 0, next = 0; row < num_rows; ++row) {
    const int count = num_tokens / num_rows + (row < num_tokens % num_rows);
    rows.push_back({next, count, longest - count, row * row_blocks});
    next += count;
  }
  const std::vector<int32_t> tokens(num_tokens), slots(num_tokens, -1);
  const std::vector<int32_t> blocks(num_rows * row_blocks);
  const std::vector<int32_t> logit_rows(step_limits(options_).max_logit_rows);
  const StagedStep step = inputs_.stage(
      {.tokens = tokens, .positions = tokens, .slots = slots, .rows = rows, .blocks = blocks});
  model_.forward(backend_, ranks_, step, kv_.views(), workspace_);
  const int64_t vocabulary = model_.config().vocab_size;
  model_.logits(backend_, ranks_, inputs_.stage_logit_rows(logit_rows, num_tokens), workspace_,
                {{logits_.data(), DType::kF32, {std::ssize(logit_rows), vocabulary}}});
  const std::vector<TokenDraw> draws(logit_rows.size(), TokenDraw{0, kFarthest, 1, 0, 0});
  if (backend_draws()) backend_.sample(draws_from_logits(draws));
}

SampleArgs ModelExecutor::draws_from_logits(std::span<const TokenDraw> draws) {
  const int64_t num_rows = std::ssize(draws);
  return {.logits = {logits_.data(), DType::kF32, {num_rows, model_.config().vocab_size}},
          .num_tokens = options_.num_valid_tokens,
          .draws = inputs_.stage_draws(draws),
          .tokens = {drawn_.data(), DType::kI32, {num_rows}}};
}

sched::StepResult ModelExecutor::run(const sched::BatchPlan& plan) {
  try {
    return compute(plan);
  } catch (const DeviceFailure& failure) {
    return {plan.step, {}, Status{Code::kInternal, failure.what()}};
  }
}

sched::StepResult ModelExecutor::compute(const sched::BatchPlan& plan) {
  const StagedStep step = inputs_.stage(staging_.stage(plan));
  kv_.copy_blocks(plan.copies);
  sched::StepResult result{plan.step, std::vector<sched::RowResult>(plan.rows.size())};
  if (plan.rows.empty()) return result;
  sampler_.begin(plan, result);
  backend_.run({"forward", step.num_tokens(), step.batch.num_rows()},
               [&] { model_.forward(backend_, ranks_, step, kv_.views(), workspace_); });
  sampler_.prepare();
  if (auto failure = sample(plan)) return {plan.step, {}, std::move(failure)};
  return result;
}

std::optional<Status> ModelExecutor::sample(const sched::BatchPlan& plan) {
  const int64_t vocabulary = model_.config().vocab_size;
  while (true) {
    const StepSampler::Wanted wanted = sampler_.next_batch();
    if (wanted.tokens.empty()) return std::nullopt;
    const StagedIndices rows = inputs_.stage_logit_rows(wanted.tokens, std::ssize(plan.tokens));
    const DeviceView logits{logits_.data(), DType::kF32, {rows.size(), vocabulary}};
    const SampleArgs draws = draws_from_logits(wanted.draws);
    const int64_t num_drawn = draws.draws.size();
    backend_.run({"logits", rows.size(), rows.size(), num_drawn}, [&] {
      model_.logits(backend_, ranks_, rows, workspace_, {logits});
      if (num_drawn > 0) backend_.sample(draws);
    });
    const DeviceView others = logits.rows(num_drawn, rows.size() - num_drawn);
    if (!sampler_.take_batch({.drawn = drawn_readback_.read<int32_t>(draws.tokens),
                              .logits = logits_readback_.read<float>(others),
                              .stride = vocabulary,
                              .num_tokens = options_.num_valid_tokens}))
      return Status{
          Code::kInternal,
          fmt::format("the model computed NaN at step {}: are its weights damaged?", plan.step)};
  }
}

}  // namespace erne::exec
