// block_wise_fp8: e4m3 (tensor/fp8.h) with a float32 scale for each tile of 128 outputs by 128
// inputs, as DeepSeek-V3 and FastDeploy have it (docs/ernie-models.md, 8.4).
//
//   weights      r = 448 / (the tile's largest |w|), 1 where that is 0; q = w * r, rounded to e4m3;
//                the scale, `weight_scale_inv` in checkpoints, is 1 / r; w' = q * scale in float32
//   activations  for each row and 128 inputs: a = the largest |x|, at least 1e-10; q = x * (448 /
//                a), rounded to e4m3; x' = q * (a / 448), the scale in float32
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/fp8.h"

namespace erne::block_fp8 {

constexpr int kTile = 128;
constexpr float kLeastActivation = 1e-10f;

constexpr int64_t num_tiles(int64_t n) {
  return (n + kTile - 1) / kTile;
}

// The larger of a tile's largest |w| so far and |w|; NaN once anything is not finite, so that the
// damage stays visible.
inline float larger(float largest, float w) {
  if (largest != largest || !std::isfinite(w)) return std::numeric_limits<float>::quiet_NaN();
  return std::fabs(w) > largest ? std::fabs(w) : largest;
}

// What weights are multiplied by before they are rounded.
inline float factor(float largest) {
  return largest == 0 ? 1.0f : kFp8Largest / largest;
}

}  // namespace erne::block_fp8
