// Compiled with -mavx2 -mfma; called only where the CPU has both.
#include <immintrin.h>

#include "bench/limits_kernels.h"

namespace erne::bench {

// The loops over chains and streams are unrolled, so that their arrays live in registers.

uint64_t read_avx2(const void* data, size_t bytes) {
  constexpr int kStreams = 4;
  constexpr size_t kPrefetchBytes = 2048;
  const char* first = static_cast<const char*>(data);
  const size_t stream_bytes = bytes / kStreams;
  __m256i sums[kStreams] = {};
  for (size_t at = 0; at < stream_bytes; at += 64) {
#pragma GCC unroll 4
    for (int s = 0; s < kStreams; ++s) {
      const char* line = first + static_cast<size_t>(s) * stream_bytes + at;
      _mm_prefetch(line + kPrefetchBytes, _MM_HINT_T0);
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line));
      const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 32));
      sums[s] = _mm256_xor_si256(sums[s], _mm256_xor_si256(low, high));
    }
  }
#pragma GCC unroll 4
  for (int s = 1; s < kStreams; ++s) sums[0] = _mm256_xor_si256(sums[0], sums[s]);
  uint64_t lanes[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sums[0]);
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

uint64_t read_cached_avx2(const void* data, size_t bytes) {
  constexpr int kVectors = 8;
  const char* first = static_cast<const char*>(data);
  __m256i sums[kVectors] = {};
  for (size_t at = 0; at < bytes; at += 32 * kVectors) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const char* from = first + at + 32 * static_cast<size_t>(v);
      const __m256i vector = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      sums[v] = _mm256_xor_si256(sums[v], vector);
    }
  }
#pragma GCC unroll 8
  for (int v = 1; v < kVectors; ++v) sums[0] = _mm256_xor_si256(sums[0], sums[v]);
  uint64_t lanes[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sums[0]);
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

double fma_avx2(int64_t rounds) {
  __m256 factor = _mm256_set1_ps(1e-9f), chains[kChains] = {};
  asm volatile("" : "+x"(factor));  // a value the compiler does not know
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      chains[c] = _mm256_fmadd_ps(factor, factor, chains[c]);
      asm volatile("" : "+x"(chains[c]));  // each step happens, in a register
    }
  }
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) chains[0] = _mm256_add_ps(chains[0], chains[c]);
  return _mm256_cvtss_f32(chains[0]);
}

double int8_avx2(int64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i factor = _mm256_set1_epi8(1), chains[kChains] = {};
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      asm volatile("" : "+x"(factor));  // unknown each time, so that each product is computed
      const __m256i pairs = _mm256_maddubs_epi16(factor, factor);
      chains[c] = _mm256_add_epi32(chains[c], _mm256_madd_epi16(pairs, ones));
      asm volatile("" : "+x"(chains[c]));
    }
  }
#pragma GCC unroll 16
  for (int c = 1; c < kChains; ++c) chains[0] = _mm256_add_epi32(chains[0], chains[c]);
  return _mm256_cvtsi256_si32(chains[0]);
}

double int4_avx2(int64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i factor = _mm256_set1_epi8(1), chains[kInt4Chains] = {};
  for (int64_t i = 0; i < rounds; ++i) {
    __m256i narrow[kInt4Chains] = {};
#pragma GCC unroll 8
    for (int p = 0; p < kInt4Products; ++p) {
#pragma GCC unroll 8
      for (int c = 0; c < kInt4Chains; ++c) {
        asm volatile("" : "+x"(factor));
        const __m256i pairs = _mm256_maddubs_epi16(factor, factor);
        narrow[c] = p == 0 ? pairs : _mm256_add_epi16(narrow[c], pairs);
        asm volatile("" : "+x"(narrow[c]));
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < kInt4Chains; ++c) {
      chains[c] = _mm256_add_epi32(chains[c], _mm256_madd_epi16(narrow[c], ones));
      asm volatile("" : "+x"(chains[c]));
    }
  }
#pragma GCC unroll 8
  for (int c = 1; c < kInt4Chains; ++c) chains[0] = _mm256_add_epi32(chains[0], chains[c]);
  return _mm256_cvtsi256_si32(chains[0]);
}

}  // namespace erne::bench
