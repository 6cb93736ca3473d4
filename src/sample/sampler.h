// sample: turns logits, the scores a model gives to every token of its vocabulary, into the next
// token and into log-probabilities. These are pure functions without state, for any thread: a
// random draw follows from the request's seed, its stream and the position alone, so a request's
// tokens do not depend on what shares its batch, on preemption or on drafts.
//
// The order of the stages is FastDeploy's (docs/ernie-models.md section 9): logit bias,
// min_tokens, repetition, frequency and presence penalties, temperature, bad words, softmax, min_p,
// top_k with renormalisation, top_p. A mask of allowed tokens comes before all of them. From the
// temperature on, backend/token_draw.h has the arithmetic: back ends draw the same tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/token_draw.h"
#include "sample/token_counts.h"
#include "sched/request.h"

namespace erne::sample {

using sched::PositionLogprobs;
using sched::SamplingParams;
using sched::StopRules;
using sched::TokenId;

// The tokens before the one that is to be chosen, left where they lie: those of a sequence, then
// those that the present step has added to it. The draw's position is the number of all of them.
struct History {
  std::span<const TokenId> tokens;  // prompt, then output
  int prompt_tokens = 0;            // how many of them are the prompt
  std::span<const TokenId> accepted = {};

  int size() const { return static_cast<int>(tokens.size() + accepted.size()); }
  int generated() const { return size() - prompt_tokens; }
  TokenId operator[](int i) const {
    const auto index = static_cast<size_t>(i);
    return index < tokens.size() ? tokens[index] : accepted[index - tokens.size()];
  }
};

// What the next token depends on besides its logits.
struct Draw {
  const SamplingParams& params;
  const StopRules& stop;
  History history;
  const TokenCounts* counts = nullptr;     // of the history, where counts_tokens(params)
  std::span<const uint32_t> allowed = {};  // as Constraint::allowed()
};

// The best of a row of logits, as one look at all of them finds it.
struct Best {
  TokenId token = 0;  // the lowest id of those that have the largest logit; 0 where there is none
  float logit = 0;    // -infinity where there is none
  bool has_nan = false;  // among the logits; NaN itself is passed over
};
Best find_best(std::span<const float> logits);

// Whether the request has penalties that need TokenCounts.
bool counts_tokens(const SamplingParams& params);
// Whether choose_token() writes to the logits.
bool changes_logits(const Draw& draw);

// The stages from the temperature on, for the token at `position`.
TokenDraw token_draw(const SamplingParams& params, int position);

// Chooses the next token. `logits` [V] are scratch, and `best` is theirs. NaN counts as -infinity;
// if bias, penalties and forbidden tokens leave nothing, they are dropped, and so is a mask that
// allows nothing. Ties go to the lower id.
TokenId choose_token(std::span<float> logits, const Best& best, const Draw& draw);

// Log-probabilities of the model's own distribution (before penalties and temperature): of `chosen`
// and of the `num_top` best, best first, ties to the lower id. logits: [V], and `best` is theirs.
// Each is within 2^-19 of the exact one, besides its own rounding to float32 (lanes.h).
PositionLogprobs logprobs(std::span<const float> logits, const Best& best, TokenId chosen,
                          int num_top);

}  // namespace erne::sample
