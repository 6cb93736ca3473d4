// Eight-bit floating point, e4m3 without infinities (OCP 8-bit Floating Point Specification 1.0):
// sign, four bits of exponent with bias 7, three of fraction; 0x7F and 0xFF are NaN, the largest
// number is 448, the smallest 2^-9.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace erne {

struct Fp8 {
  uint8_t bits;

  bool operator==(const Fp8&) const = default;
};

constexpr float kFp8Largest = 448.0f;
// Numbers that become fp8 with one scale count as having one that is at least so large.
constexpr float kFp8LeastLargest = 1e-10f;
// Below it, numbers are multiples of 2^-9.
constexpr float kFp8SmallestNormal = 0x1p-6f;
// Adding it and taking it away again rounds to such a multiple.
constexpr float kFp8RoundSmall = 0x1.8p14f;

// To the nearest number of the format, ties to even; |v| is at most what rounds to kFp8Largest, or
// v is NaN.
constexpr float rounded_to_fp8(float v) {
  if (std::fabs(v) < kFp8SmallestNormal) return v + kFp8RoundSmall - kFp8RoundSmall;
  const auto u = std::bit_cast<uint32_t>(v);
  if (v != v) return v;
  return std::bit_cast<float>((u + 0x7FFFF + ((u >> 20) & 1)) & 0xFFF00000u);
}

// Saturates.
constexpr Fp8 to_fp8(float v) {
  const auto sign = static_cast<uint8_t>(std::bit_cast<uint32_t>(v) >> 24 & 0x80);
  if (v != v) return {static_cast<uint8_t>(sign | 0x7F)};
  const float size = std::fabs(v) > kFp8Largest ? kFp8Largest : rounded_to_fp8(std::fabs(v));
  if (size < kFp8SmallestNormal)
    return {static_cast<uint8_t>(sign | static_cast<uint8_t>(size * 512))};
  const uint32_t u = std::bit_cast<uint32_t>(size) - (120u << 23);
  return {static_cast<uint8_t>(sign | u >> 20)};
}

constexpr float to_float(Fp8 v) {
  const uint32_t size = v.bits & 0x7Fu;
  float out = std::bit_cast<float>((size << 20) + (120u << 23));
  if (size < 8) out = 2 * (out - 0x1p-7f);
  if (size == 0x7F) out = std::bit_cast<float>(0x7FC00000u);
  return v.bits & 0x80 ? -out : out;
}

}  // namespace erne
