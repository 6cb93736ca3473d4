// A tile unit in plain C++, as cpu/lanes/tiles.h describes it, for machines without one (Intel's
// manual, volume 1, chapter 18). Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/lanes/tile_shape.h"

namespace erne::cpu {
namespace {

struct Tile {
  int rows;  // 0: not configured
  uint8_t bytes[kTileHeight][kTileBytes];
};
thread_local Tile tiles[8];

[[noreturn]] inline void fault() {
  __builtin_trap();  // as the processor does where shapes are not set, or do not fit
}
inline Tile& tile_at(int index) {
  if (tiles[index].rows == 0) fault();
  return tiles[index];
}
inline void release_tiles() {
  __builtin_memset(tiles, 0, sizeof(tiles));
}
inline void configure_tiles(const TileShape& shape = {}) {
  release_tiles();
  for (int i = 0; i < 8; ++i) {
    if (shape.rows[i] < 1 || shape.rows[i] > kTileHeight) fault();
    tiles[i].rows = shape.rows[i];
  }
}
template <int tile>
inline void zero_tile() {
  __builtin_memset(tile_at(tile).bytes, 0, sizeof(Tile::bytes));
}
template <int tile>
inline void load_tile(const void* rows, int64_t stride) {
  for (int row = 0; row < tile_at(tile).rows; ++row)
    __builtin_memcpy(tiles[tile].bytes[row], static_cast<const uint8_t*>(rows) + row * stride,
                     kTileBytes);
}
template <int tile>
inline void store_tile(void* rows, int64_t stride) {
  for (int row = 0; row < tile_at(tile).rows; ++row)
    __builtin_memcpy(static_cast<uint8_t*>(rows) + row * stride, tiles[tile].bytes[row],
                     kTileBytes);
}
// The rows of a product c += a b, whose b must be as high as a is wide.
template <int c, int a, int b>
inline int rows_of_product() {
  if (tile_at(c).rows != tile_at(a).rows || tile_at(b).rows != kTileHeight) fault();
  return tiles[c].rows;
}
template <int c, int a, int b>
inline void multiply_tiles() {
  const int rows = rows_of_product<c, a, b>();
  auto* sums = reinterpret_cast<int32_t(*)[16]>(tiles[c].bytes);
  for (int m = 0; m < rows; ++m)
    for (int k = 0; k < kTileHeight; ++k)
      for (int n = 0; n < 16; ++n)
        for (int i = 0; i < 4; ++i)
          sums[m][n] +=
              static_cast<int8_t>(tiles[a].bytes[m][4 * k + i]) * int{tiles[b].bytes[k][4 * n + i]};
}
inline float bf16_at(const uint8_t* bytes) {
  const uint32_t bits = uint32_t{bytes[0]} << 16 | uint32_t{bytes[1]} << 24;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
template <int c, int a, int b>
inline void multiply_pair_tiles() {
  const int rows = rows_of_product<c, a, b>();
  for (int m = 0; m < rows; ++m)
    for (int n = 0; n < 16; ++n) {
      float halves[2] = {0, 0};
      for (int k = 0; k < kTileHeight; ++k)
        for (int i = 0; i < 2; ++i)
          halves[i] = __builtin_fmaf(bf16_at(tiles[a].bytes[m] + 4 * k + 2 * i),
                                     bf16_at(tiles[b].bytes[k] + 4 * n + 2 * i), halves[i]);
      float sum;
      __builtin_memcpy(&sum, tiles[c].bytes[m] + 4 * n, sizeof(sum));
      sum += halves[0] + halves[1];
      __builtin_memcpy(tiles[c].bytes[m] + 4 * n, &sum, sizeof(sum));
    }
}

}  // namespace
}  // namespace erne::cpu
