// y = W x for many rows, by warpgroups.
#pragma once

#include "cuda/kernels/operand_rows.h"
#include "cuda/kernels/warpgroup_product.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Neighbouring panels and neighbouring rows: those of a block follow from its place.
struct WarpgroupLinear {
  using Block = WarpgroupLinear;
  static constexpr bool kMayBeGated = false;

  PackedReader w;
  Global<std::byte> y;
  bool is_float;  // y; else bfloat16
  int64_t num_rows;

  ON_DEVICE const Block& block() const { return *this; }
  ON_DEVICE bool is_empty() const { return false; }
  ON_DEVICE int64_t panel(int i) const { return int64_t{block_x()} * kWarpgroupPanels + i; }
  ON_DEVICE int64_t first_row() const { return int64_t{block_y()} * kWarpgroupColumns; }
  ON_DEVICE int64_t row(int i) const {
    const int64_t row = first_row() + i;
    return row < num_rows ? row : -1;
  }
  ON_DEVICE void store(int i, int n, int r, float sum) const {
    const int64_t output = panel(i) * kPanel + n;
    if (row(r) < 0 || output >= w.matrix.out) return;
    const int64_t at = row(r) * w.matrix.out + output;
    if (is_float)
      y.as<float>().set(at, sum);
    else
      y.as<Bf16>().set(at, to_bf16(sum));
  }
};

constexpr Grid warpgroup_grid(int64_t out, int64_t rows) {
  return {pieces(out, kWarpgroupPanels * kPanel), pieces(rows, kWarpgroupColumns)};
}

template <class Weights, LinearInput input>
void launch_warpgroups(Stream& stream, Scratch& scratch, const Linear& w, const ProductRows& x,
                       const DeviceView& y) {
  const ProductRows rows = kernels::operand_rows(stream, scratch, x);
  launch(stream, warpgroup_grid(w.out, x.num_rows),
         WarpgroupProduct<Weights, input, WarpgroupLinear>{
             {PackedReader(w), global<std::byte>(y), y.dtype == DType::kF32, x.num_rows},
             rows_map(rows, kWarpgroupColumns),
             rows,
             slices(w.out, w.in)});
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
