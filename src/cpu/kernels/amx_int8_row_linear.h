// Linear layers with int8 activations on the tile unit. A group of k is one or two tiles deep, its
// sums are exact integers, and what follows is int8_row_linear.h's arithmetic: the same bits.
// Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/kernels/int8_row_linear.h"
#include "cpu/lanes/tiles.h"

namespace erne::cpu {
namespace {

// Inputs in one tile: a row of it holds four of each of 16 outputs.
constexpr int kTileInputs = 64;
static_assert(kTileInputs == kCodePadding);
// With fewer rows most of a tile would be empty, and vectors wait for memory anyway.
constexpr int64_t kLeastTileRows = 5;

// A panel's codes as bytes in tiles: [k / 4][16][4]. 8 bits: where they are; 4 bits: in `unpacked`.
template <int bits>
const uint8_t* tiles_of(const IntegerPanels& w, int64_t panel, uint8_t* unpacked) {
  const uint8_t* codes = panel_codes(w, panel, 0);
  if constexpr (bits == 8) return codes;
  uint8_t* out = unpacked;
  for (int64_t k = 0; k < round_up(w.in, kTileInputs); k += kCodeStep) {
    const Codes both = load_codes(codes), low = low_halves(both), high = high_halves(both);
    __builtin_memcpy(out, &low, sizeof(low));
    __builtin_memcpy(out + sizeof(low), &high, sizeof(high));
    codes += step_bytes(bits);
    out += 2 * sizeof(low);
  }
  return unpacked;
}

// One or two tiles of rows times one or two panels. Tiles: sums in 0..3, rows in 4 and 5, panels in
// 6 and 7.
template <int R, int P>
struct TileBlock {
  const EncodedLinearTask& task;
  const IntegerPanels& w;
  int64_t row, panel;
  const uint8_t* const* codes;  // of P panels, as tiles_of()

  // The integers of one group, [row tile][panel][16 rows][16].
  void multiply(int64_t k, int64_t inputs, int32_t (&sums)[R][P][kTileHeight][kPanel]) const {
    zero_tile<0>();
    if constexpr (P > 1) zero_tile<1>();
    if constexpr (R > 1) zero_tile<2>();
    if constexpr (R > 1 && P > 1) zero_tile<3>();
    const int64_t stride = task.x.stride;
    for (const int64_t end = k + inputs; k < end; k += kTileInputs) {
      const int8_t* x = numbers_of<int8_t>(task.x) + row * stride + k;
      load_tile<4>(x, stride);
      load_tile<6>(codes[0] + k * kPanel, kTileBytes);
      multiply_tiles<0, 4, 6>();
      if constexpr (P > 1) {
        load_tile<7>(codes[P - 1] + k * kPanel, kTileBytes);
        multiply_tiles<1, 4, 7>();
      }
      if constexpr (R > 1) {
        load_tile<5>(x + kTileHeight * stride, stride);
        multiply_tiles<2, 5, 6>();
        if constexpr (P > 1) multiply_tiles<3, 5, 7>();
      }
    }
    store_tile<0>(sums[0][0], kTileBytes);
    if constexpr (P > 1) store_tile<1>(sums[0][P - 1], kTileBytes);
    if constexpr (R > 1) store_tile<2>(sums[R - 1][0], kTileBytes);
    if constexpr (R > 1 && P > 1) store_tile<3>(sums[R - 1][P - 1], kTileBytes);
  }

  template <int bits>
  void run() const {
    const int64_t groups = task.x.groups;
    const int64_t rows = smaller(R * kTileHeight, task.y.num_rows - row);
    alignas(64) int32_t sums[R][P][kTileHeight][kPanel];
    alignas(64) float y[R * kTileHeight][P][kPanel] = {};
    for (int64_t g = 0; g < groups; ++g) {
      multiply(g * w.input_group, smaller(w.input_group, w.in - g * w.input_group), sums);
      for (int p = 0; p < P; ++p) {
        const Floats scale = load(panel_scales(w, panel + p, w.group == w.input_group ? g : 0));
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t at = (row + r) * groups + g;
          Ints sum;
          __builtin_memcpy(&sum, sums[r / kTileHeight][p][r % kTileHeight], sizeof(sum));
          sum = sum - broadcast_int((1 << (bits - 1)) * task.x.sums[at]);
          const Floats scales = broadcast(task.x.scales[at]) * scale;
          store(y[r][p], fma(converted(sum), scales, load(y[r][p])));
        }
      }
    }
    for (int p = 0; p < P; ++p)
      for (int64_t r = 0; r < rows; ++r) store_output(task.y, row + r, panel + p, load(y[r][p]));
  }
};

// All rows times one or two panels, whose codes are unpacked once.
template <int bits, int P>
void tiled_panels(const EncodedLinearTask& task, const IntegerPanels& w, int64_t panel,
                  uint8_t* scratch) {
  const int64_t panel_bytes = round_up(w.in, kTileInputs) * kPanel;
  const uint8_t* codes[P];
  for (int p = 0; p < P; ++p) codes[p] = tiles_of<bits>(w, panel + p, scratch + p * panel_bytes);
  const int64_t num_rows = task.y.num_rows;
  for (int64_t row = 0; row < num_rows; row += 2 * kTileHeight)
    if (num_rows - row > kTileHeight)
      TileBlock<2, P>{task, w, row, panel, codes}.template run<bits>();
    else
      TileBlock<1, P>{task, w, row, panel, codes}.template run<bits>();
}

template <int bits>
void tiled_linear(const EncodedLinearTask& task, const IntegerPanels& w, uint8_t* scratch) {
  int64_t panel = task.y.first_panel;
  for (; panel + 2 <= task.y.end_panel; panel += 2) tiled_panels<bits, 2>(task, w, panel, scratch);
  if (panel < task.y.end_panel) tiled_panels<bits, 1>(task, w, panel, scratch);
}

inline void tiled_int8_row_linear(const EncodedLinearTask& task, std::byte* scratch) {
  const IntegerPanels w = integer_panels(task.weight);
  auto* unpacked = reinterpret_cast<uint8_t*>(scratch);
  configure_tiles();
  w.bits == 4 ? tiled_linear<4>(task, w, unpacked) : tiled_linear<8>(task, w, unpacked);
  release_tiles();
}

}  // namespace
}  // namespace erne::cpu
