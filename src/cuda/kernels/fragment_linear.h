// y = W x on the matrix units: weights in fragments, of which each warp reads its own panels and
// its own range of the inputs.
#pragma once

#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/fragment_product.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A warp has `panels` panels, `tiles` tiles of rows and one slice of the inputs; a block all slices
// of them, and of a few neighbours where there are few slices.
template <class Weights, LinearInput input, int panels, int tiles>
struct FragmentLinear {
  static constexpr int kThreads = kMostSlices * kWarp;
  static constexpr int kLeastBlocks = panels * tiles <= 2 ? 2 : 1;
  static constexpr int kLeastWarps = 4;
  static constexpr int kRows = tiles * kTileColumns;
  static constexpr bool kStartsEarly = true;  // and reads its first weights meanwhile

  PackedReader w;
  ProductRows x;
  Global<std::byte> y;
  bool is_float;  // y; else bfloat16
  int slices;

  constexpr int warps() const { return slices > kLeastWarps ? slices : kLeastWarps; }
  int threads() const { return warps() * kWarp; }
  // Panels of a block.
  constexpr int64_t block_panels() const { return int64_t{warps()} / slices * panels; }
  size_t shared_bytes() const { return slices_bytes(panels, tiles, slices, warps()); }

  ON_DEVICE void run() const {
    const int64_t first_row = int64_t{block_y()} * kRows;
    const int64_t first_panel = block_panels() * block_x() + warp() / slices * panels;
    const int slice = warp() % slices;
    FragmentProduct<Weights, input, panels, tiles> product;
    product.begin(w, {first_panel}, x, [&](int column) {
      return first_row + column < x.num_rows ? first_row + column : -1;
    });
    product.add(static_cast<int>(slice_begin(w.matrix.in, slices, slice)),
                static_cast<int>(slice_begin(w.matrix.in, slices, slice + 1)),
                [] { wait_for_earlier(); });
    add_slices<1>(product.sums(), slices, shared_memory(),
                  [&](int m, int j, const float(&sums)[1][4]) {
                    UNROLLED for (int i = 0; i < 4; ++i) {
                      const int64_t n = (first_panel + m) * kPanel + lane() / 4 + i / 2 * 8;
                      const int64_t row = first_row + j * kTileColumns + lane() % 4 * 2 + i % 2;
                      if (n < w.matrix.out && row < x.num_rows)
                        set(row * w.matrix.out + n, sums[0][i]);
                    }
                  });
  }

  ON_DEVICE void set(int64_t at, float sum) const {
    if (is_float)
      y.as<float>().set(at, sum);
    else
      y.as<Bf16>().set(at, to_bf16(sum));
  }
};

// body.operator()<panels, tiles>() of a warp: as many tiles as there are rows for, and for many
// rows two panels, which read the activations once.
template <class Body>
void with_tiles(int64_t rows, const Body& body) {
  if (rows <= kTileColumns) return body.template operator()<1, 1>();
  if (rows <= 2 * kTileColumns) return body.template operator()<1, 2>();
  if (rows <= 8 * kTileColumns) return body.template operator()<1, 4>();
  return body.template operator()<2, 4>();
}

template <class Weights, LinearInput input>
void launch_fragments(Stream& stream, const Linear& w, const ProductRows& x, const DeviceView& y) {
  with_tiles(x.num_rows, [&]<int panels, int tiles>() {
    using Kernel = FragmentLinear<Weights, input, panels, tiles>;
    const Kernel kernel{PackedReader(w), x, global<std::byte>(y), y.dtype == DType::kF32,
                        slices(w.out, w.in)};
    launch(
        stream,
        {pieces(pieces(w.out, kPanel), kernel.block_panels()), pieces(x.num_rows, Kernel::kRows)},
        kernel);
  });
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
