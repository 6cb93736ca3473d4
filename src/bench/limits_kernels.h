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

// Does that many rounds of kFmaChains multiply-adds of 8 floats; returns their sum.
inline constexpr int kFmaChains = 10;
float fma_avx2(int64_t rounds);

}  // namespace erne::bench
