// Which pairs each expert computes, made on the device: grids must not depend on it. A pair is a
// token and one of its experts, number token * k + choice.
#pragma once

#include "backend/device_memory.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Some pairs of one expert, for one block of threads: `count` entries of the list from `first` on.
struct alignas(16) PairTile {
  int32_t expert, first, count, unused;
};

// Pairs sorted by expert, those of one ascending, and cut into tiles. `most_tiles` cover them
// whatever the experts are; those that are not needed have no pairs.
struct ExpertLists {
  Global<int32_t> experts;  // [pairs]
  Global<int32_t> pairs;    // [pairs]; none: one token's, as they come
  Global<PairTile> tiles;   // [most_tiles]; likewise
  int64_t most_tiles;
  int tile_pairs;  // the most of a tile

  ON_DEVICE PairTile tile(int64_t i) const {
    return tiles ? tiles[i] : PairTile{experts[i], static_cast<int32_t>(i), 1, 0};
  }
  ON_DEVICE int32_t pair(int64_t i) const { return pairs ? pairs[i] : static_cast<int32_t>(i); }
};

namespace kernels {

// Of experts [T, k], numbers below num_experts, no expert twice in a row; tiles of at most
// tile_pairs.
ExpertLists list_pairs(Stream& stream, Scratch& scratch, const DeviceView& experts,
                       int64_t num_experts, int tile_pairs);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
