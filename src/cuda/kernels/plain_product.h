// A product of one row and one output in plain loops for what the matrix units have no products of,
// "linear of float32" of cuda/arithmetic.h.
#pragma once

#include "cuda/kernels/packed_reader.h"
#include "cuda/kernels/pieces.h"
#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace plain {

constexpr int kFour = 4;  // neighbours that a lane reads at once

// Of inputs k to k + 3, which there may be fewer of.
ON_DEVICE void read_weights(const PackedReader& w, int64_t n, int64_t k, float (&out)[kFour]) {
  if (!w.matrix.is_fragmented) {  // rows of float32 are padded to 16 bytes
    const auto row = (w.data + n * w.matrix.row_bytes).as<Piece<float, kFour>>();
    const Piece<float, kFour> piece = row[k / kFour];
    UNROLLED for (int i = 0; i < kFour; ++i) out[i] = piece.at[i];
  } else {
    UNROLLED for (int i = 0; i < kFour; ++i) out[i] = k + i < w.matrix.in ? w.weight(n, k + i) : 0;
  }
}

template <class X>
ON_DEVICE void read_inputs(Global<X> row, int64_t in, int64_t k, float (&out)[kFour]) {
  if (in % kFour == 0) {
    const auto piece = row.template as<Piece<X, kFour>>()[k / kFour];
    UNROLLED for (int i = 0; i < kFour; ++i) out[i] = to_float(piece.at[i]);
  } else {
    UNROLLED for (int i = 0; i < kFour; ++i) out[i] = k + i < in ? to_float(row[k + i]) : 0;
  }
}

}  // namespace plain

// Of output n and the row x; all lanes of a warp call, and all get it.
template <class X>
ON_DEVICE float plain_product(const PackedReader& w, int64_t n, Global<X> x) {
  const int64_t in = w.matrix.in;
  float sum = 0;
  for (int64_t k = lane() * plain::kFour; k < in; k += kWarp * plain::kFour) {
    float weights[plain::kFour], inputs[plain::kFour];
    plain::read_weights(w, n, k, weights);
    plain::read_inputs(x, in, k, inputs);
    UNROLLED for (int i = 0; i < plain::kFour; ++i) if (k + i < in) sum =
        fma(weights[i], inputs[i], sum);
  }
  return warp_sum(sum);
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
