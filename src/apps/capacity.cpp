#include "apps/capacity.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/kv_layers.h"

namespace erne::apps {
namespace {

constexpr int kDefaultModelLen = 2048;   // FastDeploy's
constexpr int kDefaultStepTokens = 512;  // keeps a CPU's step, and so everybody's next token, short
constexpr int64_t kMaxBlocks = 40000;    // FastDeploy's cap
// Sequences, of which one HTTP request may bring many; requests are what --max-concurrency bounds.
constexpr int kMaxWaiting = 1 << 20;

Result<int> choose_model_len(const ServeOptions& options, const model::ErnieConfig& config) {
  const int64_t most = config.max_position_embeddings;
  if (options.max_model_len == 0)
    return static_cast<int>(std::min<int64_t>(kDefaultModelLen, most));
  if (options.max_model_len > most)
    return invalid(fmt::format("--max-model-len is {}: this model has positions for at most {} "
                               "(max_position_embeddings of its config.json)",
                               options.max_model_len, most),
                   "--max-model-len");
  return static_cast<int>(options.max_model_len);
}

Result<int> choose_step_tokens(const ServeOptions& options, int model_len) {
  const int64_t least = options.enable_chunked_prefill
                            ? options.max_num_seqs
                            : std::max<int64_t>(options.max_num_seqs, model_len);
  if (options.max_num_batched_tokens == 0)
    return static_cast<int>(std::max<int64_t>(kDefaultStepTokens, least));
  if (options.max_num_batched_tokens < least)
    return invalid(
        fmt::format("--max-num-batched-tokens is {}: it must be at least {}, because a step holds "
                    "one token of each of --max-num-seqs {} sequences{}",
                    options.max_num_batched_tokens, least, options.max_num_seqs,
                    options.enable_chunked_prefill
                        ? ""
                        : fmt::format(" and, without chunked prefill, a whole prompt of "
                                      "--max-model-len {} tokens",
                                      model_len)),
        "--max-num-batched-tokens");
  return static_cast<int>(options.max_num_batched_tokens);
}

// Of the blocks one sequence at its longest needs, and all of them together may use.
struct Need {
  int64_t one_sequence, everybody_twice;
};

Result<int> choose_blocks(const ServeOptions& options, const Need& need, size_t block_bytes,
                          size_t free_bytes) {
  if (options.num_gpu_blocks_override > 0) {
    if (options.num_gpu_blocks_override < need.one_sequence)
      return invalid(
          fmt::format("--num-gpu-blocks-override is {}: one sequence of --max-model-len "
                      "tokens needs {} blocks of --block-size {}",
                      options.num_gpu_blocks_override, need.one_sequence, options.block_size),
          "--num-gpu-blocks-override");
    return static_cast<int>(options.num_gpu_blocks_override);
  }
  const auto budget =
      static_cast<int64_t>(free_bytes * options.gpu_memory_utilization / block_bytes);
  if (budget < need.one_sequence)
    return invalid(
        fmt::format("the KV cache of one sequence of --max-model-len tokens needs {:.1f} "
                    "MB, and {:.0f} % of the free {:.1f} MB is less: lower "
                    "--max-model-len or free memory",
                    need.one_sequence * block_bytes / 1e6, options.gpu_memory_utilization * 100,
                    free_bytes / 1e6),
        "--max-model-len");
  const int64_t wanted = std::max(need.one_sequence, std::min(need.everybody_twice, kMaxBlocks));
  return static_cast<int>(std::min(budget, wanted));
}

}  // namespace

Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype, size_t free_bytes) {
  Capacity capacity;
  sched::Limits& limits = capacity.limits;
  limits.max_model_len = TRY(choose_model_len(options, config));
  limits.max_tokens = TRY(choose_step_tokens(options, limits.max_model_len));
  limits.max_rows = static_cast<int>(options.max_num_seqs);
  limits.max_waiting = kMaxWaiting;
  limits.share_prefixes = options.enable_prefix_caching;
  limits.chunk_prompts = options.enable_chunked_prefill;

  const auto block_tokens = static_cast<int>(options.block_size);
  if (block_tokens % backend.block_tokens_multiple != 0)
    return invalid(fmt::format("--block-size is {}: this back end needs a multiple of {}",
                               block_tokens, backend.block_tokens_multiple),
                   "--block-size");
  capacity.block_bytes = model::kv_block_bytes(config, kv_dtype, block_tokens);
  const int64_t one = (limits.max_model_len + block_tokens - 1) / block_tokens;
  capacity.num_blocks = TRY(choose_blocks(options, {one, 2 * one * options.max_num_seqs},
                                          capacity.block_bytes, free_bytes));
  return capacity;
}

}  // namespace erne::apps
