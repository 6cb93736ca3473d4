// y = W x on the matrix units, where W is the matrix of each pair's expert: tiles of pairs of one
// expert (expert_lists.h), so that each expert's weights are read once for a tile of its tokens.
#pragma once

#include "cuda/kernels/expert_products.h"
#include "cuda/kernels/fragment_product.h"
#include "cuda/kernels/operand_rows.h"
#include "cuda/kernels/tiled_product.h"
#include "cuda/kernels/warpgroup_product.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A warp has two panels of the matrix, the pairs of a tile and one slice of the inputs; a block all
// slices of them, and of a few neighbours where there are few slices.
template <class Weights, LinearInput input, int tiles>
struct ExpertProduct {
  static constexpr int kThreads = kMostSlices * kWarp;
  static constexpr int kLeastWarps = 4;
  static constexpr int kPanels = 2;
  // There are many blocks and little for each to read: several at a time hide each other's waiting
  // better than more stages of one do. So many keep to 128 registers where tiles = 1.
  static constexpr int kStages = tiles == 1 && sizeof(typename Weights::Piece) <= 16 ? 3 : 2;

  PackedReader first;  // the matrix of expert 0
  int64_t stride_bytes;
  ExpertLists lists;
  PairInputs x;
  PairOutputs y;
  int slices;

  constexpr int warps() const { return slices > kLeastWarps ? slices : kLeastWarps; }
  int threads() const { return warps() * kWarp; }
  size_t shared_bytes() const { return slices_bytes(kPanels, tiles, slices, warps()); }
  // Pairs of panels of a block, and of the matrix.
  constexpr int block_twos() const { return warps() / slices; }
  constexpr int64_t twos() const { return pieces(pieces(first.matrix.out, kPanel), kPanels); }

  ON_DEVICE void run() const {
    const PairTile tile = lists.tile(block_x());
    if (tile.count == 0) return;
    PackedReader w = first;
    w.data = first.data + tile.expert * stride_bytes;
    const int64_t two = int64_t{block_y()} * block_twos() + warp() / slices;
    const int64_t panel = y.is_gated ? two : kPanels * two;
    const int slice = warp() % slices;
    FragmentProduct<Weights, input, kPanels, tiles, kStages> product;
    product.begin(w, {panel, y.is_gated ? y.panels() : 1}, x.rows, [&](int column) {
      return column < tile.count ? int64_t{lists.pair(tile.first + column) / x.pairs_per_row} : -1;
    });
    product.add(static_cast<int>(slice_begin(w.matrix.in, slices, slice)),
                static_cast<int>(slice_begin(w.matrix.in, slices, slice + 1)));
    add_slices<kPanels>(product.sums(), slices, shared_memory(),
                        [&](int, int j, const float(&sums)[kPanels][4]) {
                          UNROLLED for (int i = 0; i < 4; ++i) {
                            const int column = j * kTileColumns + lane() % 4 * 2 + i % 2;
                            if (column >= tile.count) continue;
                            const int64_t n = panel * kPanel + lane() / 4 + i / 2 * 8;
                            y.store(lists.pair(tile.first + column), n, sums[0][i], sums[1][i]);
                          }
                        });
  }
};

// Tiles of many pairs: each block has one, and eight panels.
struct ManyPairs {
  static constexpr int kRows = kManyPairs;

  PackedReader first;  // the matrix of expert 0
  int64_t stride_bytes;
  ExpertLists lists;
  int pairs_per_row;
  PairOutputs y;

  struct Block {
    PackedReader w;
    PairTile tile;
    const ManyPairs* of;
    int64_t first_panel;  // with a gate, its own

    ON_DEVICE bool is_empty() const { return tile.count == 0; }
    // With a gate, every other panel is the other's.
    ON_DEVICE int64_t panel(int i) const {
      return of->y.is_gated ? first_panel + i / 2 + i % 2 * of->y.panels() : first_panel + i;
    }
    ON_DEVICE int64_t row(int i) const {
      return i < tile.count ? of->lists.pair(tile.first + i) / of->pairs_per_row : -1;
    }
    ON_DEVICE void store(int i, int n, int r, float sum, float other) const {
      if (r < tile.count)
        of->y.store(of->lists.pair(tile.first + r), panel(i) * kPanel + n, sum, other);
    }
  };
  ON_DEVICE Block block() const {
    const PairTile tile = lists.tile(block_x());
    PackedReader w = first;
    w.data = first.data + tile.expert * stride_bytes;
    return {w, tile, this, int64_t{block_y()} * kTiledPanels / (y.is_gated ? 2 : 1)};
  }
};

// Likewise by warpgroups. With a gate, the panels of the block's first half are the gate's.
struct WarpgroupPairs {
  static constexpr bool kMayBeGated = true;
  static_assert(kWarpgroupPairs == kWarpgroupColumns);

  PackedReader first;  // the matrix of expert 0
  int64_t stride_bytes;
  ExpertLists lists;
  int pairs_per_row;
  PairOutputs y;

  struct Block {
    PackedReader w;
    PairTile tile;
    const WarpgroupPairs* of;

    static constexpr int kHalf = kWarpgroupPanels / 2;

    ON_DEVICE bool is_empty() const { return tile.count == 0; }
    ON_DEVICE bool is_gated() const { return of->y.is_gated; }
    ON_DEVICE int64_t panel(int i) const {
      if (!is_gated()) return int64_t{block_y()} * kWarpgroupPanels + i;
      return int64_t{block_y()} * kHalf + i % kHalf + (i < kHalf ? 0 : of->y.panels());
    }
    ON_DEVICE int64_t first_row() const { return tile.first; }
    ON_DEVICE int64_t pair(int i) const { return of->lists.pair(tile.first + i); }
    ON_DEVICE int64_t row(int i) const { return i < tile.count ? pair(i) / of->pairs_per_row : -1; }
    ON_DEVICE void store(int i, int n, int r, float sum) const {
      const int64_t output = panel(i) * kPanel + n;
      if (r < tile.count && output < of->y.width) of->y.set(pair(r), output, sum);
    }
    ON_DEVICE void store(int i, int n, int r, float sum, float other) const {
      if (r < tile.count) of->y.store(pair(r), panel(i) * kPanel + n, sum, other);
    }
  };
  ON_DEVICE Block block() const {
    const PairTile tile = lists.tile(block_x());
    PackedReader w = first;
    w.data = first.data + tile.expert * stride_bytes;
    return {w, tile, this};
  }
};

template <class Weights, LinearInput input>
void launch_warpgroup_pairs(Stream& stream, Scratch& scratch, const StackedLinear& w,
                            const ExpertLists& lists, const PairInputs& x, const PairOutputs& y) {
  const int64_t pairs = x.rows.num_rows * x.pairs_per_row;
  const ProductRows listed = kernels::operand_rows(stream, scratch, x.rows, lists, pairs);
  launch(stream, {lists.most_tiles, pieces(w.out, kPanel * kWarpgroupPanels)},
         WarpgroupProduct<Weights, input, WarpgroupPairs>{
             {PackedReader(w.linear(0)), w.stride_bytes, lists, x.pairs_per_row, y},
             rows_map(listed, kWarpgroupPairs),
             x.rows,
             slices(w.out, w.in)});
}

template <class Weights, LinearInput input>
void launch_pairs(Stream& stream, Scratch& scratch, const StackedLinear& w,
                  const ExpertLists& lists, const PairInputs& x, const PairOutputs& y) {
  const auto run = [&]<int tiles>() {
    const ExpertProduct<Weights, input, tiles> kernel{
        PackedReader(w.linear(0)), w.stride_bytes, lists, x, y, slices(w.out, w.in)};
    launch(stream, {lists.most_tiles, pieces(kernel.twos(), kernel.block_twos())}, kernel);
  };
  if constexpr (!Weights::kIntegers)
    if (lists.tile_pairs == kWarpgroupPairs)
      return launch_warpgroup_pairs<Weights, input>(stream, scratch, w, lists, x, y);
  switch (lists.tile_pairs / kTileColumns) {
    case 1:
      return run.template operator()<1>();
    case 2:
      return run.template operator()<2>();
    case 4:
      return run.template operator()<4>();
    default:
      CHECK_EQ(lists.tile_pairs, kManyPairs);
      launch(stream, {lists.most_tiles, pieces(w.out, kPanel * kTiledPanels)},
             TiledProduct<Weights, input, ManyPairs>{
                 {PackedReader(w.linear(0)), w.stride_bytes, lists, x.pairs_per_row, y},
                 x.rows,
                 slices(w.out, w.in)});
  }
}

}  // namespace

namespace kernels {

// expert_products_quantized.cu: rows of 8-bit numbers.
void multiply_quantized_pairs(Stream& stream, Scratch& scratch, const StackedLinear& w,
                              const ExpertLists& lists, const PairInputs& x, const PairOutputs& y);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
