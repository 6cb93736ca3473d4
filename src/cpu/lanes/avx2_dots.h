// Sums of products of codes and 8-bit activations in AVX2 registers, and what else kernels need of
// sixteen int32 lanes. Everything is internal to the kernel file that includes this.
#pragma once

#include "cpu/lanes/avx2_lanes.h"

namespace erne::cpu {
namespace {

struct Ints {
  __m256i lo, hi;  // lanes 0..7, 8..15
};

ERNE_LANES Ints broadcast_int(int32_t v) {
  return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
}
ERNE_LANES Ints operator+(Ints a, Ints b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
ERNE_LANES Ints operator-(Ints a, Ints b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
ERNE_LANES int32_t sum_of(Ints v) {
  const __m256i eight = _mm256_add_epi32(v.lo, v.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}
ERNE_LANES Floats converted(Ints v) {
  return {_mm256_cvtepi32_ps(v.lo), _mm256_cvtepi32_ps(v.hi)};
}
ERNE_LANES Ints bits_of_floats(Floats v) {
  return {_mm256_castps_si256(v.lo), _mm256_castps_si256(v.hi)};
}
ERNE_LANES Floats absolute(Floats v) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, v.lo), _mm256_andnot_ps(sign, v.hi)};
}
// The low byte of each lane.
ERNE_LANES void store_bytes(int8_t* p, Ints v) {
  const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1);
  const auto pack = [&](__m256i lanes) {
    const __m256i bytes = _mm256_shuffle_epi8(lanes, low);
    return _mm_or_si128(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  };
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi64(pack(v.lo), pack(v.hi)));
}

// Codes of four inputs k of 16 outputs: outputs 0..7, 8..15; an output's four bytes are neighbours.
struct Codes {
  __m256i lo, hi;
};
ERNE_LANES Codes load_codes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + 1)};
}
ERNE_LANES Codes low_halves(Codes c) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(c.lo, mask), _mm256_and_si256(c.hi, mask)};
}
ERNE_LANES Codes high_halves(Codes c) {
  return low_halves({_mm256_srli_epi16(c.lo, 4), _mm256_srli_epi16(c.hi, 4)});
}
// Lanes of the codes of k + i, i < 4, as integers.
ERNE_LANES Ints codes_of(Codes c, int i) {
  const __m128i shift = _mm_cvtsi32_si128(8 * i);
  const __m256i mask = _mm256_set1_epi32(255);
  return {_mm256_and_si256(_mm256_srl_epi32(c.lo, shift), mask),
          _mm256_and_si256(_mm256_srl_epi32(c.hi, shift), mask)};
}

// `width` bits of each lane, from bit `shift` on.
template <int width>
ERNE_LANES Ints bits_at(Ints v, int shift) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  const __m256i mask = _mm256_set1_epi32((1 << width) - 1);
  return {_mm256_and_si256(_mm256_srl_epi32(v.lo, by), mask),
          _mm256_and_si256(_mm256_srl_epi32(v.hi, by), mask)};
}

// Activations of k..k+3, in every lane.
typedef __m256i Activations;
ERNE_LANES Activations load_activations(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof(four));
  return _mm256_set1_epi32(four);
}

// Running sums of code * activation over k, and `total`, which begin() sets to where they start.
// add(codes of k..k+3, activations of them) at most 2 * kDotSteps times before drain(), which moves
// the sums to the total; end() is the total after the last one.
template <int bits>
struct Dots;

// Four bits: pairs of products, each at most 15 * 127 * 2, stay in 16 bits for eight additions.
template <>
struct Dots<4> {
  __m256i lo, hi;

  ERNE_LANES void begin(Ints& total, int32_t start) {
    total = broadcast_int(start);
    lo = hi = _mm256_setzero_si256();
  }

  ERNE_LANES void add(Codes w, Activations four) {
    // Written as the instruction: else g++ 12 gathers many products first and spills them, or
    // moves the sums about.
    asm("vpaddw %1, %0, %0" : "+x"(lo) : "x"(_mm256_maddubs_epi16(w.lo, four)));
    asm("vpaddw %1, %0, %0" : "+x"(hi) : "x"(_mm256_maddubs_epi16(w.hi, four)));
  }
  ERNE_LANES void drain(Ints& total) {
    const __m256i ones = _mm256_set1_epi16(1);
    total = total + Ints{_mm256_madd_epi16(lo, ones), _mm256_madd_epi16(hi, ones)};
    lo = hi = _mm256_setzero_si256();
  }
  ERNE_LANES Ints end(const Ints& total) const { return total; }
};

// Eight bits: |x| * (+-w) fits 16 bits in pairs, where w is the code less 128.
template <>
struct Dots<8> {
  __m256i lo, hi;

  ERNE_LANES void begin(Ints& total, int32_t start) {
    total = broadcast_int(start);
    lo = hi = _mm256_setzero_si256();
  }

  ERNE_LANES void add(Codes w, Activations four) {
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
  ERNE_LANES void drain(Ints& total) {
    total = total + Ints{lo, hi};
    lo = hi = _mm256_setzero_si256();
  }
  ERNE_LANES Ints end(const Ints& total) const { return total; }
};

// Steps of kCodeStep inputs between drains, the tile's sums, and what a sum of codes is too large
// by, per unit of activation.
constexpr int kDotSteps = 4;
template <int bits>
constexpr int kDotTile = bits == 4 ? 6 : 4;
constexpr int kDotRows = 6;
template <int bits>
constexpr int kDotOffset = bits == 4 ? 8 : 0;

}  // namespace
}  // namespace erne::cpu
