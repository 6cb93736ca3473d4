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

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t HalfWords __attribute__((vector_size(32)));
typedef int8_t Bytes __attribute__((vector_size(16)));
typedef uint8_t UnsignedBytes __attribute__((vector_size(16)));
typedef float EightFloats __attribute__((vector_size(32)));
typedef float FourFloats __attribute__((vector_size(16)));

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

ERNE_LANES Floats broadcast(float v) {
  return Floats{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

// sum = fma(a, b, sum).
ERNE_LANES void add_product(Floats& sum, Floats a, Floats b) {
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
ERNE_LANES Floats fma(Floats a, Floats b, Floats c) {
  add_product(c, a, b);
  return c;
}

ERNE_LANES Floats select(Ints mask, Floats yes, Floats no) {
  return mask ? yes : no;
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN.
ERNE_LANES Floats max_of(Floats a, Floats b) {
  return select(a > b, a, b);
}
ERNE_LANES Floats min_of(Floats a, Floats b) {
  return select(a < b, a, b);
}

// 0 where x < limit, else v.
ERNE_LANES Floats zero_below(Floats x, float limit, Floats v) {
  return select(x < broadcast(limit), broadcast(0), v);
}
// v * 2^n, n in the low bits of `shifted` (arithmetic.h, kRoundToInt).
ERNE_LANES Floats scale_by_power(Floats v, Floats shifted) {
  return bits_of<Floats>(bits_of<Words>(v) + (bits_of<Words>(shifted) << 23));
}
// Lane i where i < count, else `other`.
ERNE_LANES Floats first_lanes(Floats v, int count, Floats other) {
  const Ints index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return select(index < count, v, other);
}
// Elements 2i and 2i + 1 change places.
ERNE_LANES Floats swap_pairs(Floats v) {
  return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

// Halves, for the trees below.
ERNE_LANES EightFloats low_half(Floats v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
}
ERNE_LANES EightFloats high_half(Floats v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}
ERNE_LANES FourFloats low_half(EightFloats v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
ERNE_LANES FourFloats high_half(EightFloats v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
// The fixed tree of combine_lanes().
ERNE_LANES float combine(Floats v) {
  const EightFloats eight = low_half(v) + high_half(v);
  const FourFloats four = low_half(eight) + high_half(eight);
  const float even = four[0] + four[2], odd = four[1] + four[3];
  return even + odd;
}
// The largest lane; the order does not matter.
ERNE_LANES float largest(Floats v) {
  const EightFloats low = low_half(v), high = high_half(v);
  const EightFloats eight = low > high ? low : high;
  const FourFloats four = low_half(eight) > high_half(eight) ? low_half(eight) : high_half(eight);
  const float even = four[0] > four[2] ? four[0] : four[2];
  const float odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}
ERNE_LANES float inverse_square_root(float v) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v)));
}

ERNE_LANES Floats load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
ERNE_LANES void store(float* p, Floats v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

ERNE_LANES Floats load(const Bf16* p) {
  HalfWords halves;
  __builtin_memcpy(&halves, p, sizeof(halves));
  return bits_of<Floats>(__builtin_convertvector(halves, Words) << 16);
}
// bfloat16 in the low half of each 32-bit lane: to nearest, ties to even; NaN stays NaN, made
// quiet.
ERNE_LANES Words narrow(Floats v) {
  const Words bits = bits_of<Words>(v), high = bits >> 16;
  const Words rounded = (bits + ((high & 1) + 0x7FFF)) >> 16;
  return v == v ? rounded : high | 0x40;
}
ERNE_LANES void store(Bf16* p, Floats v) {
  const HalfWords halves = __builtin_convertvector(narrow(v), HalfWords);
  __builtin_memcpy(p, &halves, sizeof(halves));
}

// A pair of rows of a panel, of numbers that the type holds.
ERNE_LANES void store_pair(float* p, Floats even, Floats odd) {
  store(p, even);
  store(p + 16, odd);
}
ERNE_LANES void store_pair(Bf16* p, Floats even, Floats odd) {
  const Words words = bits_of<Words>(even) >> 16 | (bits_of<Words>(odd) & 0xFFFF0000u);
  __builtin_memcpy(p, &words, sizeof(words));
}

ERNE_LANES Floats load(const int8_t* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  return __builtin_convertvector(__builtin_convertvector(bytes, Ints), Floats);
#endif
}

// to_float() of tensor/fp8.h.
ERNE_LANES Floats load(const Fp8* p) {
  UnsignedBytes bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  const Words bits = __builtin_convertvector(bytes, Words), size = bits & 0x7Fu;
  const Floats normal = bits_of<Floats>((size << 20) + (120u << 23));
  const Floats small = (normal - broadcast(0x1p-7f)) * broadcast(2);
  const Floats number = select(size < 8u, small, normal);
  const Floats v = select(size == 0x7Fu, broadcast(__builtin_nanf("")), number);
  return bits_of<Floats>(bits_of<Words>(v) | (bits & 0x80u) << 24);
}
// The numbers over 256, in fewer steps: as half floats their bits have other places and another
// bias. None is NaN.
ERNE_LANES Floats load_256th(const Fp8* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i high = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  const __m256i kept = _mm256_set1_epi16(static_cast<int16_t>(0xBF80));
  return bits_of<Floats>(_mm512_cvtph_ps(_mm256_and_si256(_mm256_srai_epi16(high, 1), kept)));
#else
  return load(p) * broadcast(0x1p-8f);
#endif
}
// Of tensor/fp8.h.
ERNE_LANES Floats rounded_to_fp8(Floats v) {
  const Words bits = bits_of<Words>(v);
  const Floats normal = bits_of<Floats>((bits + (0x7FFFFu + (bits >> 20 & 1u))) & 0xFFF00000u);
  const Floats small = v + broadcast(kFp8RoundSmall) - broadcast(kFp8RoundSmall);
  const Floats size = bits_of<Floats>(bits & 0x7FFFFFFFu);
  return select(size < broadcast(kFp8SmallestNormal), small, normal);
}

// One row of a pair of rows of a panel: words hold pairs of bfloat16 (panels.h).
template <int odd>
ERNE_LANES Floats load_row(const Bf16* pair) {
  Words words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return bits_of<Floats>(odd ? words & 0xFFFF0000u : words << 16);
}

// Pairs of bfloat16, in rows of activations as in panels.
#ifdef ERNE_BF16_ROWS
constexpr bool kBf16Rows = true;
#else
constexpr bool kBf16Rows = false;
#endif
ERNE_LANES Words load_pairs(const Bf16* pair) {
  Words words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return words;
}
ERNE_LANES Words spread_pair(const Bf16* pair) {
  uint32_t word;
  __builtin_memcpy(&word, pair, sizeof(word));
  return Words{word, word, word, word, word, word, word, word,
               word, word, word, word, word, word, word, word};
}
// sum = fma(even of x, even of w, fma(odd of x, odd of w, sum)): what VDPBF16PS does.
ERNE_LANES void add_pair_products(Floats& sum, Words x, Words w) {
#ifdef __AVX512BF16__
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#else
  add_product(sum, bits_of<Floats>(x & 0xFFFF0000u), bits_of<Floats>(w & 0xFFFF0000u));
  add_product(sum, bits_of<Floats>(x << 16), bits_of<Floats>(w << 16));
#endif
}

// As if stored as a T and loaded again.
template <class T>
ERNE_LANES Floats rounded(Floats v) {
  if constexpr (sizeof(T) == 4) {
    return v;
  } else {
    return bits_of<Floats>(narrow(v) << 16);
  }
}

}  // namespace
}  // namespace erne::cpu
