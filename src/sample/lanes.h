// What every logit of a vocabulary goes through, four at a time: every row of a batch waits for
// it. Plain SSE2 arithmetic, so the same numbers on every machine.
#pragma once

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

// exp((logit - best) * scale) of each, and their sum. logits: at most kPiece, none above best. 0
// for NaN, and below e^-87; relative error below 2^-20.
struct Weights {
  float of[kPiece];
  double sum;
};
void weigh(std::span<const float> logits, float best, float scale, Weights& weights);

// The sum of exp(logit - best); any number of logits, none above best, which is one of them. Its
// relative error is below 2^-19: each exponential has 2^-20 as above and, of rounding logit - best,
// 2^-24 |logit - best|, which weighted by the exponentials is at most 2^-24 ln V on average; the
// sum itself is taken in double.
double sum_of_exponentials(std::span<const float> logits, float best);

}  // namespace erne::sample
