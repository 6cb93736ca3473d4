// y = W x for many rows.
#pragma once

#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/tiled_product.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Neighbouring panels and neighbouring rows: those of a block follow from its place.
template <class Weights>
struct LinearWork {
  using Block = LinearWork;
  // As many as leave a thread registers for the sums of a group, of a range and of all.
  static constexpr int kRows = Weights::kHasScales || Weights::kHasLocals ? 64 : 128;

  PackedReader w;
  Global<std::byte> y;
  bool is_float;  // y; else bfloat16
  int64_t num_rows;

  ON_DEVICE const Block& block() const { return *this; }
  ON_DEVICE bool is_empty() const { return false; }
  ON_DEVICE int64_t panel(int i) const { return int64_t{block_x()} * kTiledPanels + i; }
  ON_DEVICE int64_t row(int i) const {
    const int64_t row = int64_t{block_y()} * kRows + i;
    return row < num_rows ? row : -1;
  }
  ON_DEVICE void store(int i, int n, int r, float sum, float other) const {
    if (row(r) < 0) return;
    set(row(r), panel(i) * kPanel + n, sum);
    set(row(r), panel(i + 1) * kPanel + n, other);
  }
  ON_DEVICE void set(int64_t row, int64_t n, float sum) const {
    if (n >= w.matrix.out) return;
    if (is_float)
      y.as<float>().set(row * w.matrix.out + n, sum);
    else
      y.as<Bf16>().set(row * w.matrix.out + n, to_bf16(sum));
  }
};

template <class Weights>
int64_t tiled_blocks(int64_t out, int64_t rows) {
  return pieces(out, kPanel * kTiledPanels) * pieces(rows, LinearWork<Weights>::kRows);
}

template <class Weights, LinearInput input>
void launch_tiled(Stream& stream, const Linear& w, const ProductRows& x, const DeviceView& y) {
  using Work = LinearWork<Weights>;
  launch(stream, {pieces(w.out, kPanel * kTiledPanels), pieces(x.num_rows, Work::kRows)},
         TiledProduct<Weights, input, Work>{
             {PackedReader(w), global<std::byte>(y), y.dtype == DType::kF32, x.num_rows},
             x,
             slices(w.out, w.in)});
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
