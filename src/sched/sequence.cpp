#include "sched/sequence.h"

#include <algorithm>

namespace erne::sched {
namespace {

bool stops(const StopRules& stop, TokenId token) {
  const auto is_among = [token](const std::vector<TokenId>& ids) {
    return std::ranges::find(ids, token) != ids.end();
  };
  return is_among(stop.stop_token_ids) || (!stop.ignore_eos && is_among(stop.eos_ids));
}

}  // namespace

std::optional<FinishReason> finish_after(const Sequence& sequence) {
  const StopRules& stop = sequence.request.stop;
  const int generated = sequence.generated();
  if (sequence.computed < sequence.prompt_size()) return std::nullopt;
  // The sampler masks the stop tokens while fewer than min_new_tokens are out; one that comes all
  // the same is text.
  if (generated > stop.min_new_tokens && stops(stop, sequence.tokens.back())) {
    return FinishReason::kStop;
  }
  if (generated == stop.max_new_tokens) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace erne::sched
