// sim: executors that stand in for a device. This header: a "language model" whose every answer is
// a pure function of the whole prefix, so that one wrong token, position or KV slot changes the
// text.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/request.h"

namespace erne::sim {

using PrefixHash = uint64_t;  // of tokens [0, i]
inline constexpr PrefixHash kEmptyPrefix = 0x0E;

PrefixHash extend(PrefixHash prefix, sched::TokenId token);

class ShadowModel {
 public:
  explicit ShadowModel(int vocabulary) : vocabulary_(vocabulary) {}

  // The token after `prefix`. With fewer than min_new_tokens generated, none that would end it
  // (unless the vocabulary has no other).
  sched::TokenId next(PrefixHash prefix, const sched::Request& request, int generated) const;
  // Made-up values for `chosen` coming after `prefix`, with the k best.
  sched::PositionLogprobs score(PrefixHash prefix, sched::TokenId chosen, int k) const;
  int vocabulary() const { return vocabulary_; }

 private:
  int vocabulary_;
};

// What a request must bring, computed one token after the other without engine, batch or cache.
struct ShadowText {
  std::vector<sched::TokenId> tokens;
  std::vector<sched::PositionLogprobs> logprobs, prompt_logprobs;
  sched::FinishReason finish = sched::FinishReason::kLength;
};
ShadowText evaluate(const ShadowModel& model, const sched::Request& request);

}  // namespace erne::sim
