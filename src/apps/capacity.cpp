#include "apps/capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/prompt_limits.h"
#include "exec/model_executor.h"
#include "model/kv_layers.h"

namespace erne::apps {
namespace {

// Only what a grammar leaves no choice about is drafted, such as the name of a key.
constexpr int kMaxDrafts = 8;
constexpr int kDefaultModelLen = 2048;   // FastDeploy's
constexpr int kDefaultStepTokens = 512;  // keeps a CPU's step, and so everybody's next token, short
constexpr int64_t kMaxBlocks = 40000;    // FastDeploy's cap
constexpr double kGiB = 1 << 30;
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

// A step holds a token of each sequence and, without chunked prefill, a whole prompt.
int least_step_tokens(const sched::Limits& limits) {
  return limits.chunk_prompts ? limits.max_rows : std::max(limits.max_rows, limits.max_model_len);
}

Result<int> choose_step_tokens(const ServeOptions& options, const sched::Limits& limits) {
  const int least = least_step_tokens(limits);
  if (options.max_num_batched_tokens == 0) return std::max(kDefaultStepTokens, least);
  if (options.max_num_batched_tokens < least)
    return invalid(
        fmt::format("--max-num-batched-tokens is {}: it must be at least {}, because a step holds "
                    "one token of each of --max-num-seqs {} sequences{}",
                    options.max_num_batched_tokens, least, options.max_num_seqs,
                    options.enable_chunked_prefill
                        ? ""
                        : fmt::format(" and, without chunked prefill, a whole prompt of "
                                      "--max-model-len {} tokens",
                                      limits.max_model_len)),
        "--max-num-batched-tokens");
  return static_cast<int>(options.max_num_batched_tokens);
}

double megabytes(double bytes) {
  return bytes / 1e6;
}

// What there is to share out, and what each part of it takes.
struct Memory {
  size_t free_bytes;
  double share;  // of it that may be taken
  size_t block_bytes;
  const WorkspaceBytes& workspace;

  double budget() const { return static_cast<double>(free_bytes) * share; }
  double needed(const sched::Limits& limits, int64_t blocks) const {
    return static_cast<double>(workspace(limits)) +
           static_cast<double>(blocks) * static_cast<double>(block_bytes);
  }
  bool fits(const sched::Limits& limits, int64_t blocks) const {
    return needed(limits, blocks) <= budget();
  }
  // Bytes without which these still fit.
  double to_spare(const sched::Limits& limits, int64_t blocks) const {
    return static_cast<double>(free_bytes) - needed(limits, blocks) / share;
  }
};

// The largest n up to `most` for which steps of limits_for(n) and so many blocks fit; 0: none.
template <class LimitsFor>
int largest_that_fits(int most, int64_t blocks, const Memory& memory, const LimitsFor& limits_for) {
  int fits = 0, beyond = most + 1;
  while (fits + 1 < beyond) {
    const int middle = fits + (beyond - fits) / 2;
    (memory.fits(limits_for(middle), blocks) ? fits : beyond) = middle;
  }
  return fits;
}

// Steps and the KV of one sequence at its longest do not fit. Says which flag is worth lowering.
Status too_large(const sched::Limits& limits, int64_t blocks, const Memory& memory,
                 const ServeOptions& options) {
  const std::string facts = fmt::format(
      "steps of {} tokens and {} sequences work in {:.1f} MB, one sequence of {} tokens has {:.1f} "
      "MB of KV, and {:.0f} % of the free memory are {:.1f} MB",
      limits.max_tokens, limits.max_rows, megabytes(static_cast<double>(memory.workspace(limits))),
      limits.max_model_len,
      megabytes(static_cast<double>(blocks) * static_cast<double>(memory.block_bytes)),
      options.gpu_memory_utilization * 100, megabytes(memory.budget()));
  const auto with_tokens = [&](int tokens) {
    sched::Limits fewer = limits;
    fewer.max_tokens = tokens;
    return fewer;
  };
  const int tokens = largest_that_fits(limits.max_tokens, blocks, memory, with_tokens);
  if (options.max_num_batched_tokens != 0 && tokens >= least_step_tokens(limits))
    return invalid(fmt::format("--max-num-batched-tokens is {}: {}; up to {} would fit",
                               limits.max_tokens, facts, tokens),
                   "--max-num-batched-tokens");
  const auto with_rows = [&](int rows) {
    sched::Limits fewer = limits;
    fewer.max_rows = rows;
    fewer.max_tokens = std::max(kDefaultStepTokens, least_step_tokens(fewer));
    return fewer;
  };
  const int rows = largest_that_fits(limits.max_rows, blocks, memory, with_rows);
  if (rows > 0)
    return invalid(fmt::format("--max-num-seqs is {}: {}; up to {} would fit, with "
                               "--max-num-batched-tokens {}",
                               limits.max_rows, facts, rows, with_rows(rows).max_tokens),
                   "--max-num-seqs");
  return invalid(fmt::format("--max-model-len is {}: {}; lower it, or free memory",
                             limits.max_model_len, facts),
                 "--max-model-len");
}

// KV blocks: what one sequence needs at its longest, and what all of them may use together.
struct Need {
  int64_t one_sequence, everybody_twice;
};

Result<int> given_blocks(const ServeOptions& options, const Need& need, size_t room_bytes,
                         size_t block_bytes) {
  const int64_t asked = options.num_gpu_blocks_override;
  const auto most = static_cast<int64_t>(room_bytes / block_bytes);
  if (asked < need.one_sequence)
    return invalid(fmt::format("--num-gpu-blocks-override is {}: one sequence of --max-model-len "
                               "tokens needs {} blocks of --block-size {}",
                               asked, need.one_sequence, options.block_size),
                   "--num-gpu-blocks-override");
  if (asked > most)
    return invalid(
        fmt::format("--num-gpu-blocks-override is {}: such blocks take {:.1f} MB, and "
                    "{:.1f} MB are free; up to {} fit",
                    asked, megabytes(static_cast<double>(asked) * static_cast<double>(block_bytes)),
                    megabytes(static_cast<double>(room_bytes)), most),
        "--num-gpu-blocks-override");
  return static_cast<int>(asked);
}

Result<int> choose_blocks(const ServeOptions& options, const Need& need,
                          const sched::Limits& limits, const Memory& memory) {
  const size_t workspace = memory.workspace(limits);
  if (options.num_gpu_blocks_override > 0 && workspace <= memory.free_bytes)
    return given_blocks(options, need, memory.free_bytes - workspace, memory.block_bytes);
  if (!memory.fits(limits, need.one_sequence))
    return too_large(limits, need.one_sequence, memory, options);
  const auto room = static_cast<int64_t>((memory.budget() - static_cast<double>(workspace)) /
                                         static_cast<double>(memory.block_bytes));
  const int64_t wanted = std::max(need.one_sequence, std::min(need.everybody_twice, kMaxBlocks));
  return static_cast<int>(std::min(room, wanted));
}

// --swap-space in blocks, of which `room_bytes` are free.
Result<int> choose_host_blocks(const ServeOptions& options, int num_blocks, size_t block_bytes,
                               double room_bytes) {
  const double bytes = static_cast<double>(block_bytes);
  const double asked = std::floor(options.swap_space * kGiB / bytes);
  const double ids = std::numeric_limits<kv::BlockId>::max() - num_blocks;
  const double most = std::min(ids, std::floor(std::max(room_bytes, 0.0) / bytes));
  if (asked < 1 || asked > most)
    return invalid(fmt::format("--swap-space is {} GiB: it must be 0, for no CPU tier, or from "
                               "{:.6f}, one block, to {:.3f}, which is what the rest leaves free",
                               options.swap_space, std::ceil(bytes / kGiB * 1e6) / 1e6,
                               std::floor(most * bytes / kGiB * 1e3) / 1e3),
                   "--swap-space");
  return static_cast<int>(asked);
}

}  // namespace

WorkspaceBytes workspace_of(const model::ErnieConfig& config, DType activation,
                            const ServeOptions& options) {
  return [&config, activation, &options](const sched::Limits& limits) {
    return exec::ModelExecutor::workspace_bytes(
        config, activation,
        {.num_blocks = std::numeric_limits<int>::max(),  // enough for every row at its longest
         .block_tokens = static_cast<int>(options.block_size),
         .max_tokens = limits.max_tokens,
         .max_rows = limits.max_rows,
         .max_sequence_tokens = limits.max_model_len});
  };
}

Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype,
                                 const FreeMemory& free, const WorkspaceBytes& workspace) {
  Capacity capacity;
  sched::Limits& limits = capacity.limits;
  limits.max_model_len = TRY(choose_model_len(options, config));
  limits.max_rows = static_cast<int>(options.max_num_seqs);
  limits.max_waiting = kMaxWaiting;
  limits.max_drafts = kMaxDrafts;
  limits.share_prefixes = options.enable_prefix_caching;
  limits.chunk_prompts = options.enable_chunked_prefill;
  limits.max_tokens = TRY(choose_step_tokens(options, limits));
  TRY(choose_prompt_limits(options, limits));

  const auto block_tokens = static_cast<int>(options.block_size);
  if (block_tokens % backend.block_tokens_multiple != 0)
    return invalid(fmt::format("--block-size is {}: this back end needs a multiple of {}",
                               block_tokens, backend.block_tokens_multiple),
                   "--block-size");
  capacity.block_bytes = model::kv_block_bytes(config, kv_dtype, block_tokens);
  const int64_t one = (limits.max_model_len + block_tokens - 1) / block_tokens;
  const Need need{one, 2 * one * options.max_num_seqs};
  Memory memory{free.device_bytes, options.gpu_memory_utilization, capacity.block_bytes, workspace};
  capacity.num_blocks = TRY(choose_blocks(options, need, limits, memory));
  if (options.swap_space == 0) return capacity;
  const double room = free.host_bytes ? *free.host_bytes : memory.to_spare(limits, one);
  capacity.host_blocks =
      TRY(choose_host_blocks(options, capacity.num_blocks, capacity.block_bytes, room));
  if (free.host_bytes) return capacity;
  memory.free_bytes -= capacity.host_blocks * capacity.block_bytes;
  capacity.num_blocks = TRY(choose_blocks(options, need, limits, memory));
  return capacity;
}

}  // namespace erne::apps
