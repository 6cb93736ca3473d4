// The tile unit of AMX, as far as amx_code_linear.h needs it: eight tiles of 16 rows of 64 bytes,
// all in use at that shape. With ERNE_AMX_EMULATED in plain C++, for tests on machines without it
// (Intel's manual, volume 1, chapter 18). Everything is internal to the kernel file that includes
// this.
//
// Written as instructions: g++ 12's own functions for them do not say what memory they read, and at
// -O2 stores to it are lost.
#pragma once

#include <cstdint>

namespace erne::cpu {
namespace {

constexpr int kTileHeight = 16, kTileBytes = 64;

#ifndef ERNE_AMX_EMULATED

// Before the first use on a thread; also after release_tiles().
inline void configure_tiles() {
  struct alignas(64) Config {  // palette 1; per tile: bytes in a row, rows
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  const Config config;
  static_assert(sizeof(config) == 64);
  asm volatile("ldtilecfg %0" : : "m"(config));
}
// The system saves no tiles of this thread any more.
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
// c[m][n] += sum over the four bytes i of each k of a[m][k][i] * b[k][n][i]; a signed, b unsigned.
template <int c, int a, int b>
inline void multiply_tiles() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
}

#else

struct Tile {
  uint8_t bytes[kTileHeight][kTileBytes];
};
thread_local Tile tiles[8];
thread_local bool tiles_are_configured = false;

[[noreturn]] inline void fault() {
  __builtin_trap();  // as the processor does where no shape was set
}
inline Tile& tile_at(int index) {
  if (!tiles_are_configured) fault();
  return tiles[index];
}
inline void configure_tiles() {
  tiles_are_configured = true;
}
inline void release_tiles() {
  tiles_are_configured = false;
}
template <int tile>
inline void zero_tile() {
  __builtin_memset(&tile_at(tile), 0, sizeof(Tile));
}
template <int tile>
inline void load_tile(const void* rows, int64_t stride) {
  for (int row = 0; row < kTileHeight; ++row)
    __builtin_memcpy(tile_at(tile).bytes[row], static_cast<const uint8_t*>(rows) + row * stride,
                     kTileBytes);
}
template <int tile>
inline void store_tile(void* rows, int64_t stride) {
  for (int row = 0; row < kTileHeight; ++row)
    __builtin_memcpy(static_cast<uint8_t*>(rows) + row * stride, tile_at(tile).bytes[row],
                     kTileBytes);
}
template <int c, int a, int b>
inline void multiply_tiles() {
  auto* sums = reinterpret_cast<int32_t(*)[16]>(tile_at(c).bytes);
  for (int m = 0; m < kTileHeight; ++m)
    for (int k = 0; k < kTileHeight; ++k)
      for (int n = 0; n < 16; ++n)
        for (int i = 0; i < 4; ++i)
          sums[m][n] += static_cast<int8_t>(tile_at(a).bytes[m][4 * k + i]) *
                        int{tile_at(b).bytes[k][4 * n + i]};
}

#endif

}  // namespace
}  // namespace erne::cpu
