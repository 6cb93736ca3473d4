// What every logit of a vocabulary goes through, four at a time: every row of a batch waits for
// it. Plain SSE2 arithmetic, so the same numbers on every machine.
#pragma once

#include <cstdint>
#include <span>

namespace erne::sample {

// Logits that are worked on together; a vocabulary is cut into such pieces.
constexpr int kPiece = 512;

// The largest, and -infinity where there is none; NaN is passed over, but told of.
struct Largest {
  float value;
  bool has_nan;
};
Largest largest_of(std::span<const float> logits);

// token_distance() of each. logits: at most kPiece, none above best.
void measure(std::span<const float> logits, float best, float units_per_logit,
             int32_t (&distances)[kPiece]);
// The sum of weight_at() of those that are nearer than kFarthest; any number of logits, none above
// best.
uint64_t weight_of(std::span<const float> logits, float best, float units_per_logit);

// The sum of exp(logit - best); any number of logits, none above best, which is one of them. Its
// relative error is below 2^-19: each exponential has less than 2^-20 and, of rounding logit -
// best, 2^-24 |logit - best|, which weighted by the exponentials is at most 2^-24 ln V on average;
// the sum itself is taken in double.
double sum_of_exponentials(std::span<const float> logits, float best);

}  // namespace erne::sample
