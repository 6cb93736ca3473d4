// The tile unit of AMX, as tiles.h describes it. Everything is internal to the file that includes
// this.
//
// Written as instructions: g++ 12's own functions for them do not say what memory they read, and at
// -O2 stores to it are lost.
#pragma once

#include <cstdint>

#include "cpu/lanes/tile_shape.h"

namespace erne::cpu {
namespace {

inline void configure_tiles(const TileShape& shape = {}) {
  struct alignas(64) Config {  // palette 1; per tile: bytes in a row, rows
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  };
  Config config;
  static_assert(sizeof(config) == 64);
  __builtin_memcpy(config.rows, shape.rows, sizeof(shape.rows));
  asm volatile("ldtilecfg %0" : : "m"(config));
}
inline void release_tiles() {
  asm volatile("tilerelease");
}
template <int tile>
inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(tile));
}
template <int tile>
inline void load_tile(const void* rows, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void store_tile(void* rows, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride), "i"(tile) : "memory");
}
template <int c, int a, int b>
inline void multiply_tiles() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}
template <int c, int a, int b>
inline void multiply_pair_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}

}  // namespace
}  // namespace erne::cpu
