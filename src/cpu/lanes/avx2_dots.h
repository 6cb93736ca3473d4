// Sixteen int32 lanes and sums of products of codes and 8-bit activations in AVX2 registers, as
// lanes.h describes them. Everything is internal to the kernel file that includes this.
#pragma once

#include "cpu/lanes/avx2_lanes.h"

namespace erne::cpu {
namespace {

struct Ints {
  __m256i lo, hi;  // lanes 0..7, 8..15
};

ERNE_INLINE Ints broadcast_int(int32_t v) {
  return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
}
ERNE_INLINE Ints operator+(Ints a, Ints b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
ERNE_INLINE Ints operator-(Ints a, Ints b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
ERNE_INLINE int32_t sum_of(Ints v) {
  const __m256i eight = _mm256_add_epi32(v.lo, v.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}
ERNE_INLINE Floats converted(Ints v) {
  return {_mm256_cvtepi32_ps(v.lo), _mm256_cvtepi32_ps(v.hi)};
}
ERNE_INLINE Ints bits_of_floats(Floats v) {
  return {_mm256_castps_si256(v.lo), _mm256_castps_si256(v.hi)};
}
ERNE_INLINE Floats absolute(Floats v) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, v.lo), _mm256_andnot_ps(sign, v.hi)};
}
ERNE_INLINE void store_bytes(int8_t* p, Ints v) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1);
  const auto pack = [&](__m256i lanes) {
    const __m256i bytes = _mm256_shuffle_epi8(lanes, low);
    return _mm_or_si128(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  };
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi64(pack(v.lo), pack(v.hi)));
}

struct Codes {
  __m256i lo, hi;  // outputs 0..7, 8..15
};
ERNE_INLINE Codes load_codes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + 1)};
}
ERNE_INLINE Codes low_halves(Codes c) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(c.lo, mask), _mm256_and_si256(c.hi, mask)};
}
ERNE_INLINE Codes high_halves(Codes c) {
  return low_halves({_mm256_srli_epi16(c.lo, 4), _mm256_srli_epi16(c.hi, 4)});
}
ERNE_INLINE Ints codes_of(Codes c, int i) {
  const __m128i shift = _mm_cvtsi32_si128(8 * i);
  const __m256i mask = _mm256_set1_epi32(255);
  return {_mm256_and_si256(_mm256_srl_epi32(c.lo, shift), mask),
          _mm256_and_si256(_mm256_srl_epi32(c.hi, shift), mask)};
}

template <int width>
ERNE_INLINE Ints bits_at(Ints v, int shift) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  const __m256i mask = _mm256_set1_epi32((1 << width) - 1);
  return {_mm256_and_si256(_mm256_srl_epi32(v.lo, by), mask),
          _mm256_and_si256(_mm256_srl_epi32(v.hi, by), mask)};
}

typedef __m256i Activations;
ERNE_INLINE Activations load_activations(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof(four));
  return _mm256_set1_epi32(four);
}

template <int bits>
struct Dots;

// Four bits: pairs of products, each at most 15 * 127 * 2, stay in 16 bits for eight additions.
template <>
struct Dots<4> {
  __m256i lo, hi;

  ERNE_INLINE void begin(Ints& total, int32_t start) {
    total = broadcast_int(start);
    lo = hi = _mm256_setzero_si256();
  }

  ERNE_INLINE void add(Codes w, Activations four) {
    // Written as the instruction: else g++ 12 gathers many products first and spills them, or
    // moves the sums about.
    asm("vpaddw %1, %0, %0" : "+x"(lo) : "x"(_mm256_maddubs_epi16(w.lo, four)));
    asm("vpaddw %1, %0, %0" : "+x"(hi) : "x"(_mm256_maddubs_epi16(w.hi, four)));
  }
  ERNE_INLINE void drain(Ints& total) {
    const __m256i ones = _mm256_set1_epi16(1);
    total = total + Ints{_mm256_madd_epi16(lo, ones), _mm256_madd_epi16(hi, ones)};
    lo = hi = _mm256_setzero_si256();
  }
  ERNE_INLINE Ints end(const Ints& total) const { return total; }
};

// Eight bits: |x| * (+-w) fits 16 bits in pairs, where w is the code less 128.
template <>
struct Dots<8> {
  __m256i lo, hi;

  ERNE_INLINE void begin(Ints& total, int32_t start) {
    total = broadcast_int(start);
    lo = hi = _mm256_setzero_si256();
  }

  ERNE_INLINE void add(Codes w, Activations four) {
    const __m256i size = _mm256_abs_epi8(four), ones = _mm256_set1_epi16(1);
    const __m256i middle = _mm256_set1_epi8(static_cast<char>(0x80));
    const auto product = [&](__m256i codes) {
      const __m256i weight = _mm256_xor_si256(codes, middle);
      const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(weight, four));
      return _mm256_madd_epi16(pairs, ones);
    };
    asm("vpaddd %1, %0, %0" : "+x"(lo) : "x"(product(w.lo)));
    asm("vpaddd %1, %0, %0" : "+x"(hi) : "x"(product(w.hi)));
  }
  ERNE_INLINE void drain(Ints& total) {
    total = total + Ints{lo, hi};
    lo = hi = _mm256_setzero_si256();
  }
  ERNE_INLINE Ints end(const Ints& total) const { return total; }
};

constexpr int kDotSteps = 4;
template <int bits>
constexpr int kDotTile = bits == 4 ? 6 : 4;
constexpr int kDotRows = 6;
template <int bits>
constexpr int kDotOffset = bits == 4 ? 8 : 0;

}  // namespace
}  // namespace erne::cpu
