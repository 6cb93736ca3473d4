// Compiled with -mavx512f -mavx512vnni -mavx512bf16; each is called only where the CPU has what it
// needs.
#include <immintrin.h>

#include "bench/limits_kernels.h"

namespace erne::bench {

double fma_avx512(int64_t rounds) {
  __m512 factor = _mm512_set1_ps(1e-9f), chains[kChains] = {};
  asm volatile("" : "+v"(factor));  // a value the compiler does not know
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      chains[c] = _mm512_fmadd_ps(factor, factor, chains[c]);
      asm volatile("" : "+v"(chains[c]));  // each step happens, in a register
    }
  }
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) chains[0] = _mm512_add_ps(chains[0], chains[c]);
  return _mm512_cvtss_f32(chains[0]);
}

double bf16_avx512(int64_t rounds) {
  constexpr int kTwo = 0x40004000;  // 2.0 twice
  __m512i twos = _mm512_set1_epi32(kTwo);
  asm volatile("" : "+v"(twos));
  const auto factor = reinterpret_cast<__m512bh>(twos);
  __m512 chains[kChains] = {};
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      chains[c] = _mm512_dpbf16_ps(chains[c], factor, factor);
      asm volatile("" : "+v"(chains[c]));
    }
  }
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) chains[0] = _mm512_add_ps(chains[0], chains[c]);
  return _mm512_cvtss_f32(chains[0]);
}

double int8_avx512_vnni(int64_t rounds) {
  __m512i factor = _mm512_set1_epi8(1), chains[kChains] = {};
  asm volatile("" : "+v"(factor));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      chains[c] = _mm512_dpbusd_epi32(chains[c], factor, factor);
      asm volatile("" : "+v"(chains[c]));
    }
  }
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) chains[0] = _mm512_add_epi32(chains[0], chains[c]);
  return _mm512_cvtsi512_si32(chains[0]);
}

}  // namespace erne::bench
