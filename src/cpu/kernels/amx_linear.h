// Linear layers of bfloat16 on the tile unit, any number of rows. The unit sums pairs in an order
// of its own, "tiles" in arithmetic.h, and only weights that allow it come here
// (Linear::unit_order). Everything is internal to the kernel file that includes this.
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/lanes/tiles.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

// Inputs in one tile: a row of it holds two of each of 16 outputs.
constexpr int64_t kTilePairs = 32;

// What a step multiplies: kTilePairs inputs of some rows and of the panels beside each other.
struct TileStep {
  const Bf16* x;
  int64_t x_stride;  // elements
  const Bf16* w;
  int64_t w_stride;  // elements from panel to panel

  TileStep at(int64_t k) const { return {x + k, x_stride, w + k * kPanel, w_stride}; }
};

// R tiles of rows times P panels. Tiles: the sums of row tile r and panel p in r * P + p, rows in 4
// and 5, panels in 6 and 7 by turns.
template <int R, int P>
struct SumTiles {
  static_assert(R <= 2 && R * P <= 4);

  static void begin(int64_t rows) {
    const auto first = static_cast<uint8_t>(smaller(rows, kTileHeight));
    const auto second = static_cast<uint8_t>(R == 1 ? kTileHeight : rows - kTileHeight);
    TileShape shape;
    for (int p = 0; p < P; ++p) {
      shape.rows[p] = first;
      if constexpr (R > 1) shape.rows[P + p] = second;
    }
    shape.rows[4] = first;
    shape.rows[5] = second;
    configure_tiles(shape);  // zeros them all
  }
  template <int p = 0>
  static void step(const TileStep& s) {
    if constexpr (p == 0) {
      load_tile<4>(s.x, s.x_stride * 2);
      if constexpr (R > 1) load_tile<5>(s.x + kTileHeight * s.x_stride, s.x_stride * 2);
    }
    load_tile<6 + p % 2>(s.w + p * s.w_stride, kTileBytes);
    multiply_pair_tiles<p, 4, 6 + p % 2>();
    if constexpr (R > 1) multiply_pair_tiles<P + p, 5, 6 + p % 2>();
    if constexpr (p + 1 < P) step<p + 1>(s);
  }
  template <int i = 0>
  static void end(float (&sums)[R * P][kTileHeight][kPanel]) {
    store_tile<i>(sums[i], kTileBytes);
    if constexpr (i + 1 < R * P) end<i + 1>(sums);
  }
};

// The last inputs where they do not fill a tile, zeros behind them.
struct alignas(64) InputTail {
  Bf16 x[kLinearRows][kTilePairs];
  Bf16 w[kLinearPanels][kTilePairs * kPanel];

  void take_rows(const LinearTask& task, int64_t begin) {
    const auto* from = numbers_of<const Bf16>(task.x) + begin;
    __builtin_memset(x, 0, sizeof(x));
    for (int64_t row = 0; row < task.y.num_rows; ++row)
      __builtin_memcpy(x[row], from + row * task.x.stride, (task.in - begin) * sizeof(Bf16));
  }
  void take_panel(int p, const Bf16* panel, int64_t begin, int64_t in) {
    __builtin_memset(w[p], 0, sizeof(w[p]));
    __builtin_memcpy(w[p], panel + begin * kPanel, (in - begin) * kPanel * sizeof(Bf16));
  }
};

// Panels `apart` from one to the next, so that each goes on in a strand through memory.
template <int P, class Y>
struct PanelsInTiles {
  const LinearTask& task;
  int64_t panel, apart;
  InputTail& tail;

  template <int R>
  void multiply(int64_t row, int64_t rows) const {
    const int64_t stride = panel_stride(DType::kBf16, task.in), whole = task.in & -kTilePairs;
    const TileStep from{numbers_of<const Bf16>(task.x) + row * task.x.stride, task.x.stride,
                        static_cast<const Bf16*>(task.weight) + panel * stride, apart * stride};
    using Sums = SumTiles<R, P>;
    Sums::begin(rows);
    for (int64_t k = 0; k < whole; k += kTilePairs) Sums::step(from.at(k));
    if (whole < task.in)
      Sums::step({tail.x[row], kTilePairs, tail.w[0], kTilePairs * int64_t{kPanel}});
    alignas(64) float sums[R * P][kTileHeight][kPanel];
    Sums::end(sums);
    for (int64_t r = 0; r < rows; ++r)
      for (int p = 0; p < P; ++p) {
        const int64_t column = (panel + p * apart) * kPanel;
        store_part(static_cast<Y*>(task.y.y) + (row + r) * task.y.stride + column,
                   load(sums[r / kTileHeight * P + p][r % kTileHeight]), task.y.out - column);
      }
  }

  void all_rows() const {
    const int64_t whole = task.in & -kTilePairs, stride = panel_stride(DType::kBf16, task.in);
    if (whole < task.in)
      for (int p = 0; p < P; ++p)
        tail.take_panel(p, static_cast<const Bf16*>(task.weight) + (panel + p * apart) * stride,
                        whole, task.in);
    for (int64_t row = 0; row < task.y.num_rows; row += 2 * kTileHeight) {
      const int64_t rows = smaller(2 * kTileHeight, task.y.num_rows - row);
      if constexpr (P <= 2)
        if (rows > kTileHeight) {
          multiply<2>(row, rows);
          continue;
        }
      multiply<1>(row, rows);
    }
  }
};

template <class Y>
void tile_linear_typed(const LinearTask& task) {
  // A row tile waits for memory, and least with four strands; two need the registers.
  const int64_t strands = task.y.num_rows <= kTileHeight ? 4 : 2;
  const int64_t count = task.y.end_panel - task.y.first_panel;
  const int64_t length = (count + strands - 1) / strands;
  InputTail tail;
  if (task.in % kTilePairs != 0) tail.take_rows(task, task.in & -kTilePairs);
  for (int64_t i = 0; i < length; ++i) {
    const int64_t panel = task.y.first_panel + i;
    switch ((count - i + length - 1) / length) {  // the last strand may be shorter
      case 4:
        PanelsInTiles<4, Y>{task, panel, length, tail}.all_rows();
        break;
      case 3:
        PanelsInTiles<3, Y>{task, panel, length, tail}.all_rows();
        break;
      case 2:
        PanelsInTiles<2, Y>{task, panel, length, tail}.all_rows();
        break;
      default:
        PanelsInTiles<1, Y>{task, panel, length, tail}.all_rows();
    }
  }
}

inline void tile_linear(const LinearTask& task) {
  task.y.type == DType::kBf16 ? tile_linear_typed<Bf16>(task) : tile_linear_typed<float>(task);
  release_tiles();
}

}  // namespace
}  // namespace erne::cpu
