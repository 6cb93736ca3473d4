// Products of pairs with the matrices of their experts, on the matrix units.
#pragma once

#include "cuda/kernels/expert_lists.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/packing/fragments.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Pairs of a tile that share weights by way of shared memory; of warpgroups.
constexpr int kManyPairs = 64, kWarpgroupPairs = 128;

struct PairInputs {
  ProductRows rows;
  int pairs_per_row;  // pair p reads row p / pairs_per_row
};

// [pairs, width], of bfloat16 or float32.
struct PairOutputs {
  Global<std::byte> data;
  bool is_float;
  // The matrix is a gate's and behind it another's, each of `width` outputs, a multiple of kPanel:
  // y = silu(gate) * other, both rounded to y's type before. Else it is one of `width` outputs.
  bool is_gated;
  int64_t width;

  // From a panel of the gate to that of the same outputs of the other.
  ON_DEVICE int64_t panels() const { return width / kPanel; }
  // Sums of output n of a panel and of the next one, or with a gate of the other's panel.
  ON_DEVICE void store(int64_t pair, int64_t n, float sum, float other) const {
    if (!is_gated) {
      if (n < width) set(pair, n, sum);
      if (n + kPanel < width) set(pair, n + kPanel, other);
    } else if (n < width) {
      set(pair, n, silu(rounded(sum)) * rounded(other));
    }
  }

  ON_DEVICE float rounded(float v) const { return is_float ? v : to_float(to_bf16(v)); }
  ON_DEVICE void set(int64_t pair, int64_t n, float v) const {
    if (is_float)
      data.as<float>().set(pair * width + n, v);
    else
      data.as<Bf16>().set(pair * width + n, to_bf16(v));
  }
};

namespace kernels {

// lists: of tiles of 8, 16, 32 or kManyPairs; of kWarpgroupPairs where has_warpgroup_product().
void multiply_pairs(Stream& stream, Scratch& scratch, const StackedLinear& w,
                    const ExpertLists& lists, const PairInputs& x, const PairOutputs& y);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
