// Sixteen float32 lanes in one 512-bit register, as lanes.h describes them. Written in the
// compiler's vector types, which become AVX-512 instructions where the file is compiled for it and
// pairs of AVX2 ones where not: so the same source runs on machines without AVX-512, in tests.
// Everything is internal to the kernel file that includes this.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/arithmetic.h"
#include "cpu/lanes/inline.h"
#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

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
ERNE_INLINE To bits_of(From v) {
  return reinterpret_cast<To>(v);
}

ERNE_INLINE Floats broadcast(float v) {
  return Floats{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

ERNE_INLINE void add_product(Floats& sum, Floats a, Floats b) {
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
ERNE_INLINE Floats fma(Floats a, Floats b, Floats c) {
  add_product(c, a, b);
  return c;
}

ERNE_INLINE Floats select(Ints mask, Floats yes, Floats no) {
  return mask ? yes : no;
}
ERNE_INLINE Floats max_of(Floats a, Floats b) {
  return select(a > b, a, b);
}
ERNE_INLINE Floats min_of(Floats a, Floats b) {
  return select(a < b, a, b);
}

ERNE_INLINE Floats zero_below(Floats x, float limit, Floats v) {
  return select(x < broadcast(limit), broadcast(0), v);
}
ERNE_INLINE Floats scale_by_power(Floats v, Floats shifted) {
  return bits_of<Floats>(bits_of<Words>(v) + (bits_of<Words>(shifted) << 23));
}
ERNE_INLINE Floats first_lanes(Floats v, int count, Floats other) {
  const Ints index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return select(index < count, v, other);
}
ERNE_INLINE Floats swap_pairs(Floats v) {
  return __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

// Halves, for the trees below.
ERNE_INLINE EightFloats low_half(Floats v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
}
ERNE_INLINE EightFloats high_half(Floats v) {
  return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}
ERNE_INLINE FourFloats low_half(EightFloats v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
ERNE_INLINE FourFloats high_half(EightFloats v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
ERNE_INLINE float combine(Floats v) {
  const EightFloats eight = low_half(v) + high_half(v);
  const FourFloats four = low_half(eight) + high_half(eight);
  const float even = four[0] + four[2], odd = four[1] + four[3];
  return even + odd;
}
ERNE_INLINE float largest(Floats v) {
  const EightFloats low = low_half(v), high = high_half(v);
  const EightFloats eight = low > high ? low : high;
  const FourFloats four = low_half(eight) > high_half(eight) ? low_half(eight) : high_half(eight);
  const float even = four[0] > four[2] ? four[0] : four[2];
  const float odd = four[1] > four[3] ? four[1] : four[3];
  return even > odd ? even : odd;
}
ERNE_INLINE float inverse_square_root(float v) {
  return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v)));
}

ERNE_INLINE Floats load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
ERNE_INLINE void store(float* p, Floats v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

ERNE_INLINE Floats load(const Bf16* p) {
  HalfWords halves;
  __builtin_memcpy(&halves, p, sizeof(halves));
  return bits_of<Floats>(__builtin_convertvector(halves, Words) << 16);
}
// bfloat16 in the low half of each 32-bit lane: to nearest, ties to even; NaN stays NaN, made
// quiet.
ERNE_INLINE Words narrow(Floats v) {
  const Words bits = bits_of<Words>(v), high = bits >> 16;
  const Words rounded = (bits + ((high & 1) + 0x7FFF)) >> 16;
  return v == v ? rounded : high | 0x40;
}
ERNE_INLINE void store(Bf16* p, Floats v) {
  const HalfWords halves = __builtin_convertvector(narrow(v), HalfWords);
  __builtin_memcpy(p, &halves, sizeof(halves));
}

ERNE_INLINE void store_pair(float* p, Floats even, Floats odd) {
  store(p, even);
  store(p + 16, odd);
}
ERNE_INLINE void store_pair(Bf16* p, Floats even, Floats odd) {
  const Words words = bits_of<Words>(even) >> 16 | (bits_of<Words>(odd) & 0xFFFF0000u);
  __builtin_memcpy(p, &words, sizeof(words));
}

ERNE_INLINE Floats load(const int8_t* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
#else
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  return __builtin_convertvector(__builtin_convertvector(bytes, Ints), Floats);
#endif
}

ERNE_INLINE Floats load(const Fp8* p) {
  UnsignedBytes bytes;
  __builtin_memcpy(&bytes, p, sizeof(bytes));
  const Words bits = __builtin_convertvector(bytes, Words), size = bits & 0x7Fu;
  const Floats normal = bits_of<Floats>((size << 20) + (120u << 23));
  const Floats small = (normal - broadcast(0x1p-7f)) * broadcast(2);
  const Floats number = select(size < 8u, small, normal);
  const Floats v = select(size == 0x7Fu, broadcast(__builtin_nanf("")), number);
  return bits_of<Floats>(bits_of<Words>(v) | (bits & 0x80u) << 24);
}
// In a half float the bits of an fp8 number have other places and another bias.
ERNE_INLINE Floats load_256th(const Fp8* p) {
#ifdef __AVX512F__
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i high = _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), 8);
  const __m256i kept = _mm256_set1_epi16(static_cast<int16_t>(0xBF80));
  return bits_of<Floats>(_mm512_cvtph_ps(_mm256_and_si256(_mm256_srai_epi16(high, 1), kept)));
#else
  return load(p) * broadcast(0x1p-8f);
#endif
}
ERNE_INLINE Floats rounded_to_fp8(Floats v) {
  const Words bits = bits_of<Words>(v);
  const Floats normal = bits_of<Floats>((bits + (0x7FFFFu + (bits >> 20 & 1u))) & 0xFFF00000u);
  const Floats small = v + broadcast(kFp8RoundSmall) - broadcast(kFp8RoundSmall);
  const Floats size = bits_of<Floats>(bits & 0x7FFFFFFFu);
  return select(size < broadcast(kFp8SmallestNormal), small, normal);
}

template <int odd>
ERNE_INLINE Floats load_row(const Bf16* pair) {
  Words words;
  __builtin_memcpy(&words, pair, sizeof(words));
  return bits_of<Floats>(odd ? words & 0xFFFF0000u : words << 16);
}

template <class T>
ERNE_INLINE Floats rounded(Floats v) {
  if constexpr (sizeof(T) == 4) {
    return v;
  } else {
    return bits_of<Floats>(narrow(v) << 16);
  }
}

}  // namespace
}  // namespace erne::cpu
