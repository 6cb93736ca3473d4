// y = W x by whichever kernel is fastest for so many rows; they give the same bits.
#pragma once

#include "cuda/kernels/fragment_linear.h"
#include "cuda/kernels/matrix_units.h"
#include "cuda/kernels/tiled_linear.h"
#include "cuda/kernels/warpgroup_linear.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Many rows share weights by way of shared memory, where there are enough blocks of them to keep
// about half of the multiprocessors busy.
constexpr int64_t kManyRows = 64, kManyBlocks = 64;

template <class Weights, LinearInput input>
void launch_linear(Stream& stream, Scratch& scratch, MatrixUnits units, const Linear& w,
                   const ProductRows& x, const DeviceView& y) {
  if (x.num_rows > kManyRows) {
    if constexpr (!Weights::kIntegers) {
      const Grid grid = warpgroup_grid(w.out, x.num_rows);
      if (units == MatrixUnits::kWarpgroups && grid.x * grid.y >= kManyBlocks)
        return launch_warpgroups<Weights, input>(stream, scratch, w, x, y);
    }
    if (tiled_blocks<Weights>(w.out, x.num_rows) >= kManyBlocks)
      return launch_tiled<Weights, input>(stream, w, x, y);
  }
  launch_fragments<Weights, input>(stream, w, x, y);
}

}  // namespace

namespace kernels {

// linear_quantized.cu: rows of 8-bit numbers.
void quantized_linear(Stream& stream, Scratch& scratch, MatrixUnits units, const Linear& w,
                      const ProductRows& x, const DeviceView& y);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
