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
  size_t total_bytes, free_bytes;
  double share;  // of the total that may be taken
  size_t block_bytes;
  const WorkingBytes& working;

  double budget() const {
    return static_cast<double>(total_bytes) * share - static_cast<double>(total_bytes - free_bytes);
  }
  double needed(const sched::Limits& limits, int64_t blocks) const {
    return static_cast<double>(working(limits, blocks)) +
           static_cast<double>(blocks) * static_cast<double>(block_bytes);
  }
  bool fits(const sched::Limits& limits, int64_t blocks) const {
    return needed(limits, blocks) <= budget();
  }
  // Of memory whose total is what is free: bytes without which these still fit.
  double to_spare(const sched::Limits& limits, int64_t blocks) const {
    return static_cast<double>(free_bytes) - needed(limits, blocks) / share;
  }
  void take(size_t bytes) {
    total_bytes -= bytes;
    free_bytes -= bytes;
  }
};

// The largest n up to `most` that fits, where all below it do; 0: none.
template <class Fits>
int64_t largest_that_fits(int64_t most, const Fits& fits) {
  if (most <= 0 || fits(most)) return std::max<int64_t>(most, 0);
  int64_t good = 0, beyond = most;
  while (good + 1 < beyond) {
    const int64_t middle = good + (beyond - good) / 2;
    (fits(middle) ? good : beyond) = middle;
  }
  return good;
}

int64_t blocks_for(int64_t tokens, const ServeOptions& options) {
  return (tokens + options.block_size - 1) / options.block_size;
}

// Steps and the KV of one sequence at its longest do not fit. Says which flag is worth lowering,
// and to what.
Status too_large(const sched::Limits& limits, const Memory& memory, const ServeOptions& options) {
  const int64_t blocks = blocks_for(limits.max_model_len, options);
  const std::string facts = fmt::format(
      "steps of {} tokens and {} sequences work in {:.1f} MB, one sequence of {} tokens has {:.1f} "
      "MB of KV, and --gpu-memory-utilization {:g} leaves {:.1f} MB",
      limits.max_tokens, limits.max_rows,
      megabytes(static_cast<double>(memory.working(limits, blocks))), limits.max_model_len,
      megabytes(static_cast<double>(blocks) * static_cast<double>(memory.block_bytes)),
      options.gpu_memory_utilization, megabytes(std::max(memory.budget(), 0.0)));
  const int64_t tokens = largest_that_fits(limits.max_tokens, [&](int64_t n) {
    sched::Limits fewer = limits;
    fewer.max_tokens = static_cast<int>(n);
    return n < least_step_tokens(limits) || memory.fits(fewer, blocks);
  });
  if (options.max_num_batched_tokens != 0 && tokens >= least_step_tokens(limits))
    return invalid(fmt::format("--max-num-batched-tokens is {}: {}; up to {} would fit",
                               limits.max_tokens, facts, tokens),
                   "--max-num-batched-tokens");
  const auto with = [&](int64_t rows, int64_t model_len) {
    sched::Limits fewer = limits;
    fewer.max_rows = static_cast<int>(rows);
    fewer.max_model_len = static_cast<int>(model_len);
    fewer.max_tokens = std::max(kDefaultStepTokens, least_step_tokens(fewer));
    return fewer;
  };
  const int64_t rows = largest_that_fits(limits.max_rows, [&](int64_t n) {
    return memory.fits(with(n, limits.max_model_len), blocks);
  });
  if (rows > 0)
    return invalid(
        fmt::format("--max-num-seqs is {}: {}; up to {} would fit, with "
                    "--max-num-batched-tokens {}",
                    limits.max_rows, facts, rows, with(rows, limits.max_model_len).max_tokens),
        "--max-num-seqs");
  const int64_t model_len = largest_that_fits(limits.max_model_len, [&](int64_t n) {
    return memory.fits(with(limits.max_rows, n), blocks_for(n, options));
  });
  const std::string remedy =
      model_len > 0 ? fmt::format("up to {} would fit", model_len) : "free memory";
  return invalid(fmt::format("--max-model-len is {}: {}; {}", limits.max_model_len, facts, remedy),
                 "--max-model-len");
}

// KV blocks: what one sequence needs at its longest, and what all of them may use together.
struct Need {
  int64_t one_sequence, everybody_twice;
};

Result<int> given_blocks(const ServeOptions& options, const Need& need, const sched::Limits& limits,
                         const Memory& memory) {
  const int64_t asked = options.num_gpu_blocks_override;
  const auto free = static_cast<double>(memory.free_bytes);
  const auto bytes = static_cast<double>(memory.block_bytes);
  if (asked < need.one_sequence)
    return invalid(fmt::format("--num-gpu-blocks-override is {}: one sequence of --max-model-len "
                               "tokens needs {} blocks of --block-size {}",
                               asked, need.one_sequence, options.block_size),
                   "--num-gpu-blocks-override");
  if (memory.needed(limits, asked) > free) {
    const int64_t most =
        largest_that_fits(std::min(asked, static_cast<int64_t>(free / bytes)),
                          [&](int64_t n) { return memory.needed(limits, n) <= free; });
    return invalid(
        fmt::format("--num-gpu-blocks-override is {}: such blocks take {:.1f} MB, and "
                    "{:.1f} MB are free; up to {} fit",
                    asked, megabytes(static_cast<double>(asked) * bytes),
                    megabytes(free - static_cast<double>(memory.working(limits, most))), most),
        "--num-gpu-blocks-override");
  }
  return static_cast<int>(asked);
}

Result<int> choose_blocks(const ServeOptions& options, const Need& need,
                          const sched::Limits& limits, const Memory& memory) {
  const bool one_is_possible =
      memory.needed(limits, need.one_sequence) <= static_cast<double>(memory.free_bytes);
  if (options.num_gpu_blocks_override > 0 && one_is_possible)
    return given_blocks(options, need, limits, memory);
  if (!memory.fits(limits, need.one_sequence)) return too_large(limits, memory, options);
  const int64_t wanted = std::max(need.one_sequence, std::min(need.everybody_twice, kMaxBlocks));
  return static_cast<int>(
      largest_that_fits(wanted, [&](int64_t n) { return memory.fits(limits, n); }));
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

exec::ExecutorOptions executor_options(const ServeOptions& options, const sched::Limits& limits,
                                       DType kv_dtype, int64_t blocks) {
  return {.num_blocks = static_cast<int>(blocks),
          .block_tokens = static_cast<int>(options.block_size),
          .max_tokens = limits.max_tokens,
          .max_rows = limits.max_rows,
          .num_valid_tokens = limits.vocab_size,
          .kv_dtype = kv_dtype,
          .max_sequence_tokens = limits.max_model_len};
}

Result<WorkingBytes> working_bytes(const ServeOptions& options, const model::OpenedModel& opened,
                                   const MakeRehearsal& make_rehearsal) {
  const model::LoadPlan& plan = opened.plan();
  if (!make_rehearsal)
    return WorkingBytes(
        [options, plan, config = opened.config()](const sched::Limits& limits, int64_t) {
          constexpr int kEnough = std::numeric_limits<int>::max();  // for every row at its longest
          return exec::ModelExecutor::workspace_bytes(
              config, plan.activation, executor_options(options, limits, plan.kv, kEnough));
        });
  const std::shared_ptr<Backend> backend = make_rehearsal();
  const std::shared_ptr<model::Model> outline = TRY(opened.outline(*backend));
  return WorkingBytes([options, plan, make_rehearsal, backend, outline](const sched::Limits& limits,
                                                                        int64_t blocks) {
    return exec::ModelExecutor::rehearsed_bytes(*make_rehearsal(), *outline,
                                                executor_options(options, limits, plan.kv, blocks));
  });
}

Result<Capacity> choose_capacity(const ServeOptions& options, const model::ErnieConfig& config,
                                 const BackendLimits& backend, DType kv_dtype,
                                 const FreeMemory& free, const WorkingBytes& working) {
  Capacity capacity;
  sched::Limits& limits = capacity.limits;
  limits.max_model_len = TRY(choose_model_len(options, config));
  limits.max_rows = static_cast<int>(options.max_num_seqs);
  limits.max_waiting = kMaxWaiting;
  limits.vocab_size = config.vocab_size;
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
  const int64_t one = blocks_for(limits.max_model_len, options);
  const Need need{one, 2 * one * options.max_num_seqs};
  const size_t total = free.total_bytes > 0 ? free.total_bytes : free.device_bytes;
  Memory memory{total, free.device_bytes, options.gpu_memory_utilization, capacity.block_bytes,
                working};
  capacity.num_blocks = TRY(choose_blocks(options, need, limits, memory));
  if (options.swap_space == 0) return capacity;
  const double room = free.host_bytes ? *free.host_bytes : memory.to_spare(limits, one);
  capacity.host_blocks =
      TRY(choose_host_blocks(options, capacity.num_blocks, capacity.block_bytes, room));
  if (free.host_bytes) return capacity;
  memory.take(capacity.host_blocks * capacity.block_bytes);
  capacity.num_blocks = TRY(choose_blocks(options, need, limits, memory));
  return capacity;
}

}  // namespace erne::apps
