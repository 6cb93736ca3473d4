// The matrix units, as all lanes of a warp use them together: d += a b, with a [16, K], b [K, 8]
// and d [16, 8] spread over the lanes (PTX ISA, mma.m16n8k16 and m16n8k32). With g = lane / 4 and
// t = lane mod 4, a lane has
//
//   d[0..3]   (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
//   bfloat16, K = 16, pairs with the lower index in the lower half:
//     a[0..3] (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8) and each one's right neighbour
//     b[0..1] (2t, g), (2t+8, g) and each one's lower neighbour
//   8-bit integers, K = 32, fours with the lowest index in the lowest byte:
//     a[0..3] (g, 4t), (g+8, 4t), (g, 4t+16), (g+8, 4t+16) and three right neighbours
//     b[0..1] (4t, g), (4t+16, g) and three lower neighbours
//
// Sums of integers are exact. What a GPU rounds inside one instruction is its own; the emulation
// rounds once.
#pragma once

#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

#if defined(ERNE_CUDA_EMULATED)

namespace matrix_unit {

template <class Sum>
struct Operands {
  Sum* d;
  const uint32_t *a, *b;
};

inline float number(uint32_t word, int half) {
  return to_float(Bf16{static_cast<uint16_t>(word >> 16 * half)});
}
inline int integer(uint32_t word, int byte) {
  return static_cast<int8_t>(word >> 8 * byte);
}

// element(word, i): number i of `per_word` in a word of a or b. Wide: what sums are formed in.
template <int per_word, class Wide, class Sum, class Element>
void multiply(const char* what, Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
              const Element& element) {
  constexpr int k_length = 8 * per_word;
  Operands<Sum> own{d, a, b};
  emulation::current_block().with_warp(what, &own, [&](auto& lanes) {
    Wide left[16][k_length], right[k_length][8];
    for (int l = 0; l < 32; ++l) {
      const auto& of = *static_cast<Operands<Sum>*>(lanes[l]);
      const int g = l / 4, t = l % 4;
      for (int i = 0; i < per_word; ++i)
        for (int half = 0; half < 2; ++half) {
          const int k = per_word * t + half * k_length / 2 + i;
          left[g][k] = element(of.a[2 * half], i);
          left[g + 8][k] = element(of.a[2 * half + 1], i);
          right[k][g] = element(of.b[half], i);
        }
    }
    for (int l = 0; l < 32; ++l) {
      const auto& of = *static_cast<Operands<Sum>*>(lanes[l]);
      for (int i = 0; i < 4; ++i) {
        const int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
        Wide sum = of.d[i];
        for (int k = 0; k < k_length; ++k) sum += left[row][k] * right[k][column];
        of.d[i] = static_cast<Sum>(sum);
      }
    }
  });
}

}  // namespace matrix_unit

inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  matrix_unit::multiply<2, double>("mma of bfloat16", d, a, b, matrix_unit::number);
}
inline void mma(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  matrix_unit::multiply<4, int32_t>("mma of integers", d, a, b, matrix_unit::integer);
}

#else

ON_DEVICE void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
ON_DEVICE void mma(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
