#include "model_run.h"

#include <numeric>

namespace erne::tests {
namespace {

constexpr int kBlockTokens = 16;  // small, so that most prompts span several
constexpr int kNumBlocks = 128;
constexpr model::StepLimits kLimits = {.max_tokens = 512, .max_logit_rows = 64};

}  // namespace

ModelRun::ModelRun(Backend& backend, const model::Model& model, std::optional<DType> kv)
    : backend_(backend),
      model_(model),
      kv_(backend, model.config(), kv.value_or(model.activation()),
          {.device_blocks = kNumBlocks, .block_tokens = kBlockTokens}),
      workspace_(backend, model.config(), model.activation(), kLimits),
      logits_(backend.allocate(sizeof(float) * kLimits.max_logit_rows * model.config().vocab_size)),
      readback_(backend),
      inputs_(backend, {.max_tokens = kLimits.max_tokens,
                        .max_rows = kLimits.max_tokens,
                        .max_table_blocks = kLimits.max_tokens + kNumBlocks,
                        .max_logit_rows = kLimits.max_logit_rows,
                        .num_token_ids = model.config().vocab_size,
                        .num_blocks = kNumBlocks,
                        .block_tokens = kBlockTokens}),
      num_free_blocks_(kNumBlocks) {}

int ModelRun::add_sequence(int first_position) {
  sequences_.push_back({.first_position = first_position, .computed = 0, .blocks = {}});
  return static_cast<int>(sequences_.size()) - 1;
}

void ModelRun::stage(const Feed& feed) {
  Sequence& sequence = sequences_[feed.sequence];
  const auto count = static_cast<int>(feed.tokens.size());
  rows_.push_back({.first_token = static_cast<int>(tokens_.size()),
                   .num_tokens = count,
                   .first_position = sequence.computed,
                   .first_block = static_cast<int>(blocks_.size())});
  for (const int32_t token : feed.tokens) {
    const int index = sequence.computed++;
    if (index % kBlockTokens == 0) {  // from the highest on, so that tables never count upwards
      CHECK_GT(num_free_blocks_, 0);
      sequence.blocks.push_back(--num_free_blocks_);
    }
    tokens_.push_back(token);
    positions_.push_back(sequence.first_position + index);
    slots_.push_back(sequence.blocks.back() * kBlockTokens + index % kBlockTokens);
  }
  blocks_.insert(blocks_.end(), sequence.blocks.begin(), sequence.blocks.end());
}

std::vector<float> ModelRun::step(std::span<const Feed> feeds) {
  for (auto* staged : {&tokens_, &positions_, &slots_, &blocks_}) staged->clear();
  rows_.clear();
  for (const Feed& feed : feeds) stage(feed);
  const StagedStep staged = inputs_.stage({.tokens = tokens_,
                                           .positions = positions_,
                                           .slots = slots_,
                                           .rows = rows_,
                                           .blocks = blocks_});
  model_.forward(backend_, ranks_, staged, kv_.views(), workspace_);
  return all_logits();
}

std::vector<float> ModelRun::all_logits() {
  const int64_t vocab = model_.config().vocab_size;
  std::vector<float> out;
  for (int first = 0; first < std::ssize(tokens_); first += kLimits.max_logit_rows) {
    std::vector<int32_t> rows(std::min<size_t>(kLimits.max_logit_rows, tokens_.size() - first));
    std::iota(rows.begin(), rows.end(), first);
    const DeviceView view{logits_.data(), DType::kF32, {std::ssize(rows), vocab}};
    const StagedIndices staged = inputs_.stage_logit_rows(rows, std::ssize(tokens_));
    model_.logits(backend_, ranks_, staged, workspace_, {view});
    const auto logits = readback_.read<float>(view);
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

std::vector<float> ModelRun::run_alone(std::span<const int32_t> tokens, int first_position,
                                       int chunk) {
  const int sequence = add_sequence(first_position);
  const size_t step_size = chunk == 0 ? tokens.size() : chunk;
  std::vector<float> out;
  for (size_t first = 0; first < tokens.size(); first += step_size) {
    const Feed feed{sequence, tokens.subspan(first, std::min(step_size, tokens.size() - first))};
    const std::vector<float> logits = step({&feed, 1});
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

}  // namespace erne::tests
