// sample: logits to token, as pure functions. A draw is keyed by (seed, stream, position) alone, so
// a request's tokens do not depend on its batch, on preemption or on drafts. No state, any thread.
//
// The order of the stages is FastDeploy's (docs/ernie-models.md, 9): logit bias, min_tokens,
// repetition, frequency and presence penalties, temperature, bad words, softmax, min_p, top_k with
// renormalisation, top_p.
#pragma once

#include <span>
#include <vector>

#include "sched/request.h"

namespace erne::sample {

using sched::PositionLogprobs;
using sched::SamplingParams;
using sched::StopRules;
using sched::TokenId;

struct History {
  std::span<const TokenId> tokens;  // prompt and output so far; the draw's position is its size
  int prompt_tokens = 0;            // how many of them are the prompt
};

// Chooses the next token. `logits` [V] is scratch: it is overwritten. NaN counts as -infinity; if
// the masks leave nothing, they are dropped. Ties go to the lower id.
TokenId sample(std::span<float> logits, const SamplingParams& params, const StopRules& stop,
               const History& history);

// Log-probabilities of the model's own distribution (before penalties and temperature): of `chosen`
// and of the `num_top` best, best first, ties to the lower id. logits: [V], untouched.
PositionLogprobs logprobs(std::span<const float> logits, TokenId chosen, int num_top);

}  // namespace erne::sample
