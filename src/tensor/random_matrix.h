// A matrix drawn from a seed: each element is a function of the seed and its index alone, so that
// host and device draw the same.
#pragma once

#include <cstdint>

#include "base/hash.h"
#include "tensor/tensor_view.h"

namespace erne {

struct RandomMatrix {
  uint64_t seed = 0;
  float half_width = 0;  // elements are spread evenly over (-half_width, half_width)

  // 64 bits for words of neighbours: element i has the i mod 4th 16 of those of word i / 4.
  constexpr uint64_t word(int64_t i) const { return hash_combine(seed, static_cast<uint64_t>(i)); }
  constexpr Bf16 element(int64_t i) const {
    const uint64_t bits = word(i / 4) >> (16 * (i % 4)) & 0xFFFF;
    const float in_unit = (static_cast<float>(bits) + 0.5f) / 32768.0f - 1.0f;  // (-1, 1)
    return to_bf16(in_unit * half_width);
  }
};

}  // namespace erne
