// Sixteen float32 lanes in one 512-bit register. Written in the compiler's vector types, which
// become AVX-512 instructions where the file is compiled for it and pairs of AVX2 ones where not:
// so the same source runs on machines without AVX-512, in tests. Everything is internal to the
// kernel file that includes this.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/arithmetic.h"
#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

#define ERNE_LANES [[gnu::always_inline]] inline

namespace erne::cpu {
namespace {

typedef float F16 __attribute__((vector_size(64)));
typedef int32_t I16 __attribute__((vector_size(64)));
typedef uint32_t U16 __attribute__((vector_size(64)));
typedef uint16_t Half16 __attribute__((vector_size(32)));
typedef int8_t Byte16 __attribute__((vector_size(16)));
typedef uint8_t UByte16 __attribute__((vector_size(16)));
typedef float F8 __attribute__((vector_size(32)));
typedef float F4 __attribute__((vector_size(16)));

// 32 registers: 24 sums, a row of weights of each panel, broadcasts. Emulated tiles are lower:
// their sums are all in memory, and the compiler would take minutes.
#ifdef __AVX512F__
constexpr int64_t kTileRows = 12, kTileSums = 24;
#else
constexpr int64_t kTileRows = 5, kTileSums = 8;
#endif

template <class To, class From>
ERNE_LANES To bits_of(From v) {
  return reinterpret_cast<To>(v);
}

ERNE_LANES F16 broadcast(float v) {
  return F16{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

// sum = fma(a, b, sum).
ERNE_LANES void add_product(F16& sum, F16 a, F16 b) {
#ifdef __AVX512F__
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
  __m256 halves[2], x[2], y[2];
  __builtin_memcpy(halves, &sum, sizeof(sum));
  __builtin_memcpy(x, &a, sizeof(a));
  __builtin_memcpy(y, &b, sizeof(b));
  for (int i = 0; i < 2; ++i) halves[i] = _mm256_fmadd_ps(x[i], y[i], halves[i]);
  __builtin_memcpy(&sum, halves, sizeof(sum));
#endif
}
ERNE_LANES F16 fma(F16 a, F16 b, F16 c) {
  add_product(c, a, b);
  return c;
}

ERNE_LANES F16 select(I16 mask, F16 yes, F16 no) {
  return mask ? yes : no;
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN.
ERNE_LANES F16 max_of(F16 a, F16 b) {
  return select(a > b, a, b);
}
ERNE_LANES F16 min_of(F16 a, F16 b) {
  return select(a < b, a, b);
}

// 0 where x < limit, else v.
ERNE_LANES F16 zero_below(F16 x, float limit, F16 v) {
  return select(x < broadcast(limit), broadcast(0), v);
}
// v * 2^n, n in the low bits of `shifted` (arithmetic.h, kRoundToInt).
ERNE_LANES F16 scale_by_power(F16 v, F16 shifted) {
  return bits_of<F16>(bits_of<U16>(v) + (bits_of<U16>(shifted) << 23));
}
// Lane i where i < count, else `other`.
ERNE_LANES F16 first_lanes(F16 v, int count, F16 other) {
  const I16 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return select(index < count, v, other);
}
// Elements 2i and 2i + 1 change places.
ERNE_LANES F16 swap_pairs(F16 v) {
  return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

// Halves, for the trees below.
ERNE_LANES F8 low_half(F16 v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
}
ERNE_LANES F8 high_half(F16 v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}
ERNE_LANES F4 low_half(F8 v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
ERNE_LANES F4 high_half(F8 v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
// The fixed tree of combine_lanes().
ERNE_LANES float combine(F16 v) {
  const F8 eight = low_half(v) + high_half(v);
  const F4 four = low_half(eight) + high_half(eight);
  const float even = four[0] + four[2], odd = four[1] + four[3];
  return even + odd;
}
// The largest lane; the order does not matter.
ERNE_LANES float largest(F16 v) {
  const F8 low = low_half(v), high = high_half(v);
  const F8 eight = low > high ? low : high;
  const F4 four = low_half(eight) > high_half(eight) ? low_half(eight) : high_half(eight);
  const float even = four[0] > four[2] ? four[0] : four[2];
  const float odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}
ERNE_LANES float inverse_square_root(float v) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v)));
}

ERNE_LANES F16 load(const float* p) {
  F16 v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
ERNE_LANES void store(float* p, F16 v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

ERNE_LANES F16 load(const Bf16* p) {
  Half16 halves;
  __builtin_memcpy(&halves, p, sizeof(halves));
  return bits_of<F16>(__builtin_convertvector(halves, U16) << 16);
}
// bfloat16 in the low half of each 32-bit lane: to nearest, ties to even; NaN stays NaN, made
// quiet.
ERNE_LANES U16 narrow(F16 v) {
  const U16 bits = bits_of<U16>(v), high = bits >> 16;
  const U16 rounded = (bits + ((high & 1) + 0x7FFF)) >> 16;
  return v == v ? rounded : high | 0x40;
}
ERNE_LANES void store(Bf16* p, F16 v) {
  const Half16 halves = __builtin_convertvector(narrow(v), Half16);
  __builtin_memcpy(p, &halves, sizeof(halves));
}

// A pair of rows of a panel, of numbers that the type holds.
ERNE_LANES void store_pair(float* p, F16 even, F16 odd) {
  store(p, even);
  store(p + 16, odd);
}
ERNE_LANES void store_pair(Bf16* p, F16 even, F16 odd) {
  const U16 words = bits_of<U16>(even) >> 16 | (bits_of<U16>(odd) & 0xFFFF0000u);
  __builtin_memcpy(p, &words, sizeof(words));
}

ERNE_LANES F16 load(const int8_t* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
  Byte16 bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  return __builtin_convertvector(__builtin_convertvector(bytes, I16), F16);
#endif
}

// to_float() of tensor/fp8.h.
ERNE_LANES F16 load(const Fp8* p) {
  UByte16 bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  const U16 bits = __builtin_convertvector(bytes, U16), size = bits & 0x7Fu;
  const F16 normal = bits_of<F16>((size << 20) + (120u << 23));
  const F16 small = (normal - broadcast(0x1p-7f)) * broadcast(2);
  const F16 number = select(size < 8u, small, normal);
  const F16 v = select(size == 0x7Fu, broadcast(__builtin_nanf("")), number);
  return bits_of<F16>(bits_of<U16>(v) | (bits & 0x80u) << 24);
}
// The numbers over 256, in fewer steps: as half floats their bits have other places and another
// bias. None is NaN.
ERNE_LANES F16 load_256th(const Fp8* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i high = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  const __m256i kept = _mm256_set1_epi16(static_cast<int16_t>(0xBF80));
  return bits_of<F16>(_mm512_cvtph_ps(_mm256_and_si256(_mm256_srai_epi16(high, 1), kept)));
#else
  return load(p) * broadcast(0x1p-8f);
#endif
}
// Of tensor/fp8.h.
ERNE_LANES F16 rounded_to_fp8(F16 v) {
  const U16 bits = bits_of<U16>(v);
  const F16 normal = bits_of<F16>((bits + (0x7FFFFu + (bits >> 20 & 1u))) & 0xFFF00000u);
  const F16 small = v + broadcast(kFp8RoundSmall) - broadcast(kFp8RoundSmall);
  const F16 size = bits_of<F16>(bits & 0x7FFFFFFFu);
  return select(size < broadcast(kFp8SmallestNormal), small, normal);
}

// One row of a pair of rows of a panel: words hold pairs of bfloat16 (panels.h).
template <int odd>
ERNE_LANES F16 load_row(const Bf16* pair) {
  U16 words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return bits_of<F16>(odd ? words & 0xFFFF0000u : words << 16);
}

// Pairs of bfloat16, in rows of activations as in panels.
#ifdef ERNE_BF16_ROWS
constexpr bool kBf16Rows = true;
#else
constexpr bool kBf16Rows = false;
#endif
ERNE_LANES U16 load_pairs(const Bf16* pair) {
  U16 words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return words;
}
ERNE_LANES U16 spread_pair(const Bf16* pair) {
  uint32_t word;
  __builtin_memcpy(&word, pair, sizeof(word));
  return U16{word, word, word, word, word, word, word, word,
             word, word, word, word, word, word, word, word};
}
// sum = fma(even of x, even of w, fma(odd of x, odd of w, sum)): what VDPBF16PS does.
ERNE_LANES void add_pair_products(F16& sum, U16 x, U16 w) {
#ifdef __AVX512BF16__
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#else
  add_product(sum, bits_of<F16>(x & 0xFFFF0000u), bits_of<F16>(w & 0xFFFF0000u));
  add_product(sum, bits_of<F16>(x << 16), bits_of<F16>(w << 16));
#endif
}

// As if stored as a T and loaded again.
template <class T>
ERNE_LANES F16 rounded(F16 v) {
  if constexpr (sizeof(T) == 4) {
    return v;
  } else {
    return bits_of<F16>(narrow(v) << 16);
  }
}

}  // namespace
}  // namespace erne::cpu
