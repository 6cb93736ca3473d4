#include "apps/prompt_limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace erne::apps {
namespace {

constexpr double kLongShare = 0.04;  // of --max-model-len: FastDeploy's

}  // namespace

Result<void> choose_prompt_limits(const ServeOptions& options, sched::Limits& limits) {
  const int64_t partial = options.max_num_partial_prefills;
  if (partial > 1 && !options.enable_chunked_prefill)
    return invalid(
        fmt::format("--max-num-partial-prefills is {}: without chunked prefill no prompt is "
                    "computed in part; leave this flag out, or --no-enable-chunked-prefill",
                    partial),
        "--max-num-partial-prefills");
  const int64_t most = partial > 0 ? partial : options.max_num_seqs;
  if (options.max_long_partial_prefills > most)
    return invalid(fmt::format("--max-long-partial-prefills is {}: it must be at most {}, which {} "
                               "is",
                               options.max_long_partial_prefills, most,
                               partial > 0 ? "--max-num-partial-prefills" : "--max-num-seqs"),
                   "--max-long-partial-prefills");
  const int64_t threshold = options.long_prefill_token_threshold;
  if (threshold >= limits.max_model_len)
    return invalid(fmt::format("--long-prefill-token-threshold is {}: it must be below "
                               "--max-model-len, {}, or no prompt is long",
                               threshold, limits.max_model_len),
                   "--long-prefill-token-threshold");
  limits.max_partial_prompts = static_cast<int>(most);
  limits.max_long_prompts = static_cast<int>(options.max_long_partial_prefills);
  limits.long_prompt = threshold > 0
                           ? static_cast<int>(threshold)
                           : std::max(static_cast<int>(kLongShare * limits.max_model_len), 1);
  return {};
}

}  // namespace erne::apps
