// Sixteen float32 lanes in pairs of AVX2 registers, as lanes.h describes them. Everything is
// internal to the kernel file that includes this.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/arithmetic.h"
#include "cpu/lanes/inline.h"
#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {
namespace {

struct Floats {
  __m256 lo, hi;  // lanes 0..7, 8..15
};

// Sixteen registers: six sums of two, a row of weights, a broadcast.
constexpr int64_t kTileRows = 6, kTileSums = 6;

ERNE_INLINE Floats broadcast(float v) {
  return {_mm256_set1_ps(v), _mm256_set1_ps(v)};
}
ERNE_INLINE Floats operator+(Floats a, Floats b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
ERNE_INLINE Floats operator-(Floats a, Floats b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
ERNE_INLINE Floats operator*(Floats a, Floats b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
ERNE_INLINE Floats operator/(Floats a, Floats b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
ERNE_INLINE Floats fma(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
ERNE_INLINE Floats max_of(Floats a, Floats b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
ERNE_INLINE Floats min_of(Floats a, Floats b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}

ERNE_INLINE Floats zero_below(Floats x, float limit, Floats v) {
  const __m256 bound = _mm256_set1_ps(limit);
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.lo, bound, _CMP_LT_OQ), v.lo),
          _mm256_andnot_ps(_mm256_cmp_ps(x.hi, bound, _CMP_LT_OQ), v.hi)};
}
ERNE_INLINE __m256 scale_by_power(__m256 v, __m256 shifted) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), exponent));
}
ERNE_INLINE Floats scale_by_power(Floats v, Floats shifted) {
  return {scale_by_power(v.lo, shifted.lo), scale_by_power(v.hi, shifted.hi)};
}
ERNE_INLINE Floats first_lanes(Floats v, int count, Floats other) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i lo = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), index);
  const __m256i hi = _mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8), index);
  return {_mm256_blendv_ps(other.lo, v.lo, _mm256_castsi256_ps(lo)),
          _mm256_blendv_ps(other.hi, v.hi, _mm256_castsi256_ps(hi))};
}
ERNE_INLINE Floats swap_pairs(Floats v) {
  return {_mm256_permute_ps(v.lo, 0xB1), _mm256_permute_ps(v.hi, 0xB1)};
}

ERNE_INLINE float combine(Floats v) {
  const __m256 eight = _mm256_add_ps(v.lo, v.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
ERNE_INLINE float largest(Floats v) {
  const __m256 eight = _mm256_max_ps(v.lo, v.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
ERNE_INLINE float inverse_square_root(float v) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v)));
}

ERNE_INLINE Floats load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
ERNE_INLINE void store(float* p, Floats v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}

ERNE_INLINE __m256 widen(__m128i bf16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}
ERNE_INLINE Floats load(const Bf16* p) {
  const auto* halves = reinterpret_cast<const __m128i*>(p);
  return {widen(_mm_loadu_si128(halves)), widen(_mm_loadu_si128(halves + 1))};
}
// bfloat16 in the low half of each 32-bit lane: to nearest, ties to even; NaN stays NaN, made
// quiet.
ERNE_INLINE __m256i narrow(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}
ERNE_INLINE void store(Bf16* p, Floats v) {
  const __m256i packed = _mm256_packus_epi32(narrow(v.lo), narrow(v.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}

ERNE_INLINE Floats load(const int8_t* p) {
  const auto* halves = reinterpret_cast<const __m128i*>(p);
  const __m128i lo = _mm_loadl_epi64(halves),
                hi = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(lo)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(hi))};
}

ERNE_INLINE __m256 load_fp8(const uint8_t* p) {
  const __m256i bits = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m256i size = _mm256_and_si256(bits, _mm256_set1_epi32(0x7F));
  const __m256 normal = _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_slli_epi32(size, 20), _mm256_set1_epi32(120 << 23)));
  const __m256 small =
      _mm256_mul_ps(_mm256_sub_ps(normal, _mm256_set1_ps(0x1p-7f)), _mm256_set1_ps(2));
  const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(8), size);
  const __m256i is_nan = _mm256_cmpeq_epi32(size, _mm256_set1_epi32(0x7F));
  const __m256 number = _mm256_blendv_ps(normal, small, _mm256_castsi256_ps(is_small));
  const __m256 v =
      _mm256_blendv_ps(number, _mm256_set1_ps(__builtin_nanf("")), _mm256_castsi256_ps(is_nan));
  const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x80)), 24);
  return _mm256_or_ps(v, _mm256_castsi256_ps(sign));
}
ERNE_INLINE Floats load(const Fp8* p) {
  return {load_fp8(&p->bits), load_fp8(&p->bits + 8)};
}
// In a half float the bits of an fp8 number have other places and another bias.
ERNE_INLINE Floats load_256th(const Fp8* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i high = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  const __m256i kept = _mm256_set1_epi16(static_cast<int16_t>(0xBF80));
  const __m256i halves = _mm256_and_si256(_mm256_srai_epi16(high, 1), kept);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))};
}
ERNE_INLINE void store_pair(float* p, Floats even, Floats odd) {
  store(p, even);
  store(p + 16, odd);
}
ERNE_INLINE void store_pair(Bf16* p, Floats even, Floats odd) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
  const auto words = [&](__m256 low, __m256 up) {
    return _mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(low), 16),
                           _mm256_and_si256(_mm256_castps_si256(up), high));
  };
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words(even.lo, odd.lo));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p) + 1, words(even.hi, odd.hi));
}
ERNE_INLINE __m256 rounded_to_fp8(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFFF));
  const __m256i kept = _mm256_set1_epi32(static_cast<int>(0xFFF00000u));
  const __m256 normal = _mm256_castsi256_ps(_mm256_and_si256(_mm256_add_epi32(bits, bias), kept));
  const __m256 magic = _mm256_set1_ps(kFp8RoundSmall);
  const __m256 small = _mm256_sub_ps(_mm256_add_ps(v, magic), magic);
  const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
  const __m256 is_small = _mm256_cmp_ps(size, _mm256_set1_ps(kFp8SmallestNormal), _CMP_LT_OQ);
  return _mm256_blendv_ps(normal, small, is_small);
}
ERNE_INLINE Floats rounded_to_fp8(Floats v) {
  return {rounded_to_fp8(v.lo), rounded_to_fp8(v.hi)};
}

// Written as the instruction: from the intrinsic, g++ 12 chooses forms that
// overwrite a factor instead, and then copies and spills the sums.
ERNE_INLINE void add_product(Floats& sum, Floats a, Floats b) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.lo) : "x"(a.lo), "x"(b.lo));
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum.hi) : "x"(a.hi), "x"(b.hi));
}

template <int odd>
ERNE_INLINE Floats load_row(const Bf16* pair) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair) + 1);
  if constexpr (odd) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
    return {_mm256_castsi256_ps(_mm256_and_si256(a, high)),
            _mm256_castsi256_ps(_mm256_and_si256(b, high))};
  } else {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
  }
}

template <class T>
ERNE_INLINE Floats rounded(Floats v) {
  if constexpr (sizeof(T) == 4) {
    return v;
  } else {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(narrow(v.lo), 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(narrow(v.hi), 16))};
  }
}

}  // namespace
}  // namespace erne::cpu
