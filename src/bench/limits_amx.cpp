// Called only where the CPU has AMX and the system lets this process use it.
#include "bench/limits_kernels.h"
#include "cpu/lanes/tiles.h"

namespace erne::bench {
namespace {

using namespace cpu;

// Tiles 0 to 3 are zeros; 4 to 7, the factors, hold `pattern` again and again.
void prepare_tiles(uint32_t pattern) {
  configure_tiles();
  uint32_t factors[kTileHeight * kTileBytes / sizeof(pattern)];
  for (uint32_t& factor : factors) factor = pattern;
  load_tile<4>(factors, kTileBytes);
  load_tile<5>(factors, kTileBytes);
  load_tile<6>(factors, kTileBytes);
  load_tile<7>(factors, kTileBytes);
}

// The first element of each chain.
template <class T>
double sum_of_chains() {
  T chains[kTileChains][kTileHeight * kTileBytes / sizeof(T)];
  store_tile<0>(chains[0], kTileBytes);
  store_tile<1>(chains[1], kTileBytes);
  store_tile<2>(chains[2], kTileBytes);
  store_tile<3>(chains[3], kTileBytes);
  release_tiles();
  double sum = 0;
  for (const auto& chain : chains) sum += static_cast<double>(chain[0]);
  return sum;
}

}  // namespace

double int8_amx(int64_t rounds) {
  prepare_tiles(0x01010101);
  for (int64_t i = 0; i < rounds; ++i) {
    multiply_tiles<0, 4, 6>();
    multiply_tiles<1, 4, 7>();
    multiply_tiles<2, 5, 6>();
    multiply_tiles<3, 5, 7>();
  }
  return sum_of_chains<int32_t>();
}

double bf16_amx(int64_t rounds) {
  prepare_tiles(0x3F803F80);  // 1.0 twice
  for (int64_t i = 0; i < rounds; ++i) {
    multiply_pair_tiles<0, 4, 6>();
    multiply_pair_tiles<1, 4, 7>();
    multiply_pair_tiles<2, 5, 6>();
    multiply_pair_tiles<3, 5, 7>();
  }
  return sum_of_chains<float>();
}

}  // namespace erne::bench
