// Half precision (IEEE binary16), as float16 checkpoints store it: read, never computed with.
#pragma once

#include <bit>
#include <cstdint>

namespace erne {

struct Half {
  uint16_t bits;
};

// Exact: float32 holds every half.
inline float to_float(Half v) {
  const uint32_t sign = uint32_t{v.bits & 0x8000u} << 16;
  const uint32_t exponent = v.bits >> 10 & 31u, fraction = v.bits & 1023u;
  if (exponent == 0) {  // zero, or a multiple of the smallest half
    const float size = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(size) | sign);
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + 112u;  // infinities and NaN stay so
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

}  // namespace erne
