// The inner loops of limits.cpp, in sources compiled for their instruction set. Nothing but
// declarations here: an inline function compiled for AVX2 could end up in the rest of the program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace erne::bench {

// Each reads `bytes` (a multiple of 1024) and returns something that depends on each of them: in
// four streams with prefetch, as memory likes it, or straight through, as caches do.
uint64_t read_portable(const void* data, size_t bytes);
uint64_t read_avx2(const void* data, size_t bytes);
uint64_t read_cached_avx2(const void* data, size_t bytes);

// Each does `rounds` rounds of multiply-adds on independent chains in registers and returns the sum
// of the chains' first lanes, which grows by the same amount each round (limits.cpp has the table).
inline constexpr int kChains = 10;       // of all but int4_avx2 and AMX
inline constexpr int kInt4Chains = 6;    // each has a 16-bit and a 32-bit sum
inline constexpr int kInt4Products = 8;  // summed in 16 bits before they are widened
double fma_avx2(int64_t rounds);
double int8_avx2(int64_t rounds);
double int4_avx2(int64_t rounds);
double fma_avx512(int64_t rounds);
double bf16_avx512(int64_t rounds);
double int8_avx512_vnni(int64_t rounds);
// A chain is a tile of 16 x 16 sums, a round adds 64 int8 or 32 bfloat16 products to each.
inline constexpr int kTileChains = 4;
double int8_amx(int64_t rounds);
double bf16_amx(int64_t rounds);

}  // namespace erne::bench
