// What every logit of a vocabulary goes through, four at a time: every row of a batch waits for
// it. Plain SSE2 arithmetic, so the same numbers on every machine.
#pragma once

#include <span>

namespace erne::sample {

// Logits that are worked on together; a vocabulary is cut into such pieces.
constexpr int kPiece = 512;

// The largest, and -infinity where there is none; NaN is passed over.
float largest_of(std::span<const float> logits);

// exp((logit - best) * scale) of each, and their sum. logits: at most kPiece, none above best. 0
// for NaN, and below e^-87; relative error below 2^-20.
struct Weights {
  float of[kPiece];
  double sum;
};
void weigh(std::span<const float> logits, float best, float scale, Weights& weights);

}  // namespace erne::sample
