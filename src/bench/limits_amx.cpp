// Called only where the CPU has AMX and the system lets this process use it. Written as
// instructions: they need no flags of the compiler.
#include "bench/limits_kernels.h"

namespace erne::bench {
namespace {

constexpr int kTileBytes = 16 * 64;

// Tiles 0 to 3 become zeros; 4 to 7, the factors, hold `pattern` again and again.
void prepare_tiles(uint32_t pattern) {
  struct alignas(64) {  // palette 1; per tile: bytes in a row, rows
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const config;
  uint32_t factors[kTileBytes / sizeof(pattern)];
  for (uint32_t& factor : factors) factor = pattern;
  asm volatile(
      "ldtilecfg %0\n\t"
      "tileloadd (%1,%2,1), %%tmm4\n\ttileloadd (%1,%2,1), %%tmm5\n\t"
      "tileloadd (%1,%2,1), %%tmm6\n\ttileloadd (%1,%2,1), %%tmm7"
      :
      : "m"(config), "r"(factors), "r"(int64_t{64})
      : "memory");
}

// The first element of each chain.
template <class T>
double sum_of_chains() {
  T chains[kTileChains][kTileBytes / sizeof(T)];
  asm volatile(
      "tilestored %%tmm0, (%0,%4,1)\n\ttilestored %%tmm1, (%1,%4,1)\n\t"
      "tilestored %%tmm2, (%2,%4,1)\n\ttilestored %%tmm3, (%3,%4,1)\n\ttilerelease"
      :
      : "r"(chains[0]), "r"(chains[1]), "r"(chains[2]), "r"(chains[3]), "r"(int64_t{64})
      : "memory");
  double sum = 0;
  for (const auto& chain : chains) sum += static_cast<double>(chain[0]);
  return sum;
}

}  // namespace

double int8_amx(int64_t rounds) {
  prepare_tiles(0x01010101);
  for (int64_t i = 0; i < rounds; ++i)
    asm volatile(
        "tdpbsud %tmm6, %tmm4, %tmm0\n\ttdpbsud %tmm7, %tmm4, %tmm1\n\t"
        "tdpbsud %tmm6, %tmm5, %tmm2\n\ttdpbsud %tmm7, %tmm5, %tmm3");
  return sum_of_chains<int32_t>();
}

double bf16_amx(int64_t rounds) {
  prepare_tiles(0x3F803F80);  // 1.0 twice
  for (int64_t i = 0; i < rounds; ++i)
    asm volatile(
        "tdpbf16ps %tmm6, %tmm4, %tmm0\n\ttdpbf16ps %tmm7, %tmm4, %tmm1\n\t"
        "tdpbf16ps %tmm6, %tmm5, %tmm2\n\ttdpbf16ps %tmm7, %tmm5, %tmm3");
  return sum_of_chains<float>();
}

}  // namespace erne::bench
