// Sixteen int32 lanes and sums of products of codes and 8-bit activations in one 512-bit register
// (VNNI), as lanes.h describes them; in AVX2 instructions where the file is not compiled for VNNI,
// as avx512_lanes.h. Everything is internal to the kernel file that includes this.
#pragma once

#include "cpu/lanes/avx512_lanes.h"

namespace erne::cpu {
namespace {

typedef uint8_t Codes __attribute__((vector_size(64)));
typedef int32_t EightInts __attribute__((vector_size(32)));
typedef int32_t FourInts __attribute__((vector_size(16)));

ERNE_INLINE Ints broadcast_int(int32_t v) {
  return Ints{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}
ERNE_INLINE int32_t sum_of(Ints v) {
  const EightInts eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                          __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const FourInts four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                        __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return four[0] + four[2] + (four[1] + four[3]);
}
ERNE_INLINE Floats converted(Ints v) {
  return __builtin_convertvector(v, Floats);
}
ERNE_INLINE Ints bits_of_floats(Floats v) {
  return bits_of<Ints>(v);
}
ERNE_INLINE Floats absolute(Floats v) {
  return bits_of<Floats>(bits_of<Words>(v) & 0x7FFFFFFFu);
}
ERNE_INLINE void store_bytes(int8_t* p, Ints v) {
  const Bytes bytes = __builtin_convertvector(v, Bytes);
  __builtin_memcpy(p, &bytes, sizeof(bytes));
}

ERNE_INLINE Codes load_codes(const uint8_t* p) {
  Codes codes;
  __builtin_memcpy(&codes, p, sizeof(codes));
  return codes;
}
ERNE_INLINE Codes low_halves(Codes c) {
  return bits_of<Codes>(bits_of<Words>(c) & 0x0F0F0F0Fu);
}
ERNE_INLINE Codes high_halves(Codes c) {
  return bits_of<Codes>((bits_of<Words>(c) >> 4) & 0x0F0F0F0Fu);
}
ERNE_INLINE Ints codes_of(Codes c, int i) {
  return bits_of<Ints>((bits_of<Words>(c) >> (8 * i)) & 255u);
}

template <int width>
ERNE_INLINE Ints bits_at(Ints v, int shift) {
  return bits_of<Ints>(bits_of<Words>(v) >> shift & ((1u << width) - 1));
}

typedef Ints Activations;
ERNE_INLINE Activations load_activations(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof(four));
  return broadcast_int(four);
}

// sum += the four products of each lane's bytes, codes unsigned and x signed.
ERNE_INLINE void add_products(Ints& sum, Codes codes, Activations x) {
#ifdef __AVX512VNNI__
  // Written as the instruction: else g++ 12 loads x once for each panel.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
#else
  __m256i sums[2], w[2];
  __builtin_memcpy(sums, &sum, sizeof(sum));
  __builtin_memcpy(w, &codes, sizeof(codes));
  const __m256i four = _mm256_set1_epi32(x[0]), low = _mm256_set1_epi16(255);
  const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8);
  const __m256i odd = _mm256_srai_epi16(four, 8);
  for (int i = 0; i < 2; ++i) {
    const __m256i from_even = _mm256_madd_epi16(_mm256_and_si256(w[i], low), even);
    const __m256i from_odd = _mm256_madd_epi16(_mm256_srli_epi16(w[i], 8), odd);
    sums[i] = _mm256_add_epi32(sums[i], _mm256_add_epi32(from_even, from_odd));
  }
  __builtin_memcpy(&sum, sums, sizeof(sum));
#endif
}

// The sums fit: no drain() is needed, and no total.
template <int bits>
struct Dots {
  Ints sum;

  ERNE_INLINE void begin(Ints&, int32_t start) { sum = broadcast_int(start); }

  ERNE_INLINE void add(Codes w, Activations x) { add_products(sum, w, x); }
  ERNE_INLINE void drain(Ints&) {}
  ERNE_INLINE Ints end(const Ints&) const { return sum; }
};

constexpr int kDotSteps = 1 << 20;
template <int bits>
constexpr int kDotTile = kTileSums;
constexpr int kDotRows = kTileRows;
template <int bits>
constexpr int kDotOffset = 1 << (bits - 1);

}  // namespace
}  // namespace erne::cpu
