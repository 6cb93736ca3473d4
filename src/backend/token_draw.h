// How a token is drawn from a row of logits: the arithmetic that the host's sampler and the kernels
// of devices share, so that both draw the same token.
//
// The distance of a token says how many bits it is less likely than the best one: (best - logit) *
// units_per_logit, as float32 products, cut down to an integer of kUnitsPerBit to the bit. What is
// kFarthest away, or has a logit of -infinity or NaN, is never drawn; others have a weight,
// 2^-distance as an integer of which kWholeWeight is 1. All sums are sums of integers, so every
// order of adding gives the same.
//
// Tokens are ordered by distance, then by id, and each cut keeps the first of them: min_p those
// before end_distance, top_k so many, top_p the fewest whose weight reaches that part of what was
// left, and at least one. Of the kept tokens, in the order of their ids, the first is drawn whose
// weight and that of all before it exceed random / 2^64 of the weight of all.
#pragma once

#include <bit>
#include <cstdint>

namespace erne {

constexpr int kDistanceBits = 22;
constexpr int32_t kUnitsPerBit = 1 << kDistanceBits;
constexpr int32_t kFarthest = 31 * kUnitsPerBit;  // where weights come to less than a half
constexpr int kWeightBits = 30;
constexpr int64_t kWholeWeight = int64_t{1} << kWeightBits;
// Tokens of a row, so that the weight of all has less than 47 bits.
constexpr int64_t kMaxDrawTokens = (1 << 17) - 1;

// What one draw depends on besides the logits. In device memory as eight int32.
struct TokenDraw {
  float units_per_logit;  // kUnitsPerBit * log2(e) / temperature; 0: the best is taken
  int32_t end_distance;   // 1 to kFarthest, which cuts nothing
  int64_t top_k;          // at least 1
  uint64_t top_p;         // of kWholePart
  uint64_t random;

  static constexpr uint64_t kWholePart = uint64_t{1} << 63;
  bool operator==(const TokenDraw&) const = default;
};

constexpr int32_t token_distance(float best, float logit, float units_per_logit) {
  const float distance = (best - logit) * units_per_logit;
  return distance < static_cast<float>(kFarthest) ? static_cast<int32_t>(distance) : kFarthest;
}

// 2^-x of x = fraction / kUnitsPerBit, from 0 to 1; relative error below 2^-22. Floats: float, or
// lanes of them. The coefficients are those of the least relative error where 2^0 is 1.
template <class Floats>
constexpr Floats exp2_of_fraction(Floats fraction) {
  constexpr float kUnit = 1.0f / kUnitsPerBit, kUnit2 = kUnit * kUnit;
  constexpr float c1 = -0.69314372f * kUnit, c2 = 0.24018014f * kUnit2,
                  c3 = -0.055297357f * kUnit2 * kUnit, c4 = 0.0092057982f * kUnit2 * kUnit2,
                  c5 = -0.00094490368f * kUnit2 * kUnit2 * kUnit;
  Floats p = fraction * c5 + c4;
  p = p * fraction + c3;
  p = p * fraction + c2;
  p = p * fraction + c1;
  return p * fraction + 1.0f;
}

// Of a distance below kFarthest; at least 1.
constexpr uint32_t weight_at(int32_t distance) {
  const float part = exp2_of_fraction(static_cast<float>(distance & (kUnitsPerBit - 1)));
  const int32_t exponent = kWeightBits - (distance >> kDistanceBits);
  const auto bits = std::bit_cast<uint32_t>(part) + (static_cast<uint32_t>(exponent) << 23);
  return static_cast<uint32_t>(std::bit_cast<float>(bits) + 0.5f);
}

// part / 2^64 of `whole`.
constexpr uint64_t part_of(uint64_t whole, uint64_t part) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(whole) * part >> 64);
}
// What top_p asks for of `whole`, at most 2^62.
constexpr uint64_t wanted_weight(const TokenDraw& draw, uint64_t whole) {
  return part_of(2 * whole, draw.top_p);
}

}  // namespace erne
