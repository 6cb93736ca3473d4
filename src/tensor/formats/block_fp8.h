// block_wise_fp8: e4m3 (tensor/fp8.h) with a float32 scale for each square of 128 outputs by 128
// inputs, as DeepSeek-V3 and FastDeploy have it (docs/ernie-models.md, 8.4).
//
//   weights      r = 448 / (the square's largest |w|), 1 where that is 0; q = w * r, rounded to
//                e4m3; the scale, `weight_scale_inv` in checkpoints, is 1 / r; w' = q * scale in
//                float32
//   activations  for each row and 128 inputs: a = the largest |x|, at least 1e-10; q = x * (448 /
//                a), rounded to e4m3; x' = q * (a / 448), the scale in float32
//
// A row of EncodedRows: a byte for each number, the scales of the squares it goes through.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "tensor/encoded_rows.h"
#include "tensor/fp8.h"
#include "tensor/weight_format.h"

namespace erne::block_fp8 {

constexpr int kSquare = 128;
constexpr float kLeastActivation = kFp8LeastLargest;

constexpr int64_t num_squares(int64_t n) {
  return (n + kSquare - 1) / kSquare;
}

// The larger of a square's largest |w| so far and |w|; NaN once anything is not finite, so that the
// damage stays visible.
constexpr float larger(float largest, float w) {
  if (largest != largest || !std::isfinite(w)) return std::numeric_limits<float>::quiet_NaN();
  return std::fabs(w) > largest ? std::fabs(w) : largest;
}

// What weights are multiplied by before they are rounded.
constexpr float factor(float largest) {
  return largest == 0 ? 1.0f : kFp8Largest / largest;
}

inline int64_t num_bytes(const WeightFormat&, int64_t out, int64_t in) {
  return out * in + num_squares(out) * num_squares(in) * static_cast<int64_t>(sizeof(float));
}

// Inputs [begin, end) of rows of one square.
inline void encode_square(std::span<const float> weights, EncodedRows& out, int64_t first,
                          int64_t begin, int64_t end) {
  const int64_t num_rows = std::ssize(weights) / out.in;
  float largest = 0;
  for (int64_t n = 0; n < num_rows; ++n)
    for (int64_t k = begin; k < end; ++k) largest = larger(largest, weights[n * out.in + k]);
  const float by = factor(largest);
  for (int64_t n = 0; n < num_rows; ++n) {
    out.scales_of(first + n)[begin / kSquare] = 1 / by;
    for (int64_t k = begin; k < end; ++k)
      out.codes_of(first + n)[k] = to_fp8(weights[n * out.in + k] * by).bits;
  }
}

inline void encode_rows(std::span<const float> weights, EncodedRows& out, int64_t first) {
  const int64_t num_rows = std::ssize(weights) / out.in;
  for (int64_t n = 0; n < num_rows; n += kSquare) {
    const int64_t height = std::min<int64_t>(kSquare, num_rows - n);
    for (int64_t k = 0; k < out.in; k += kSquare)
      encode_square(weights.subspan(n * out.in, height * out.in), out, first + n, k,
                    std::min(k + kSquare, out.in));
  }
}

inline void decode_row(const EncodedRows& rows, int64_t row, std::span<float> out) {
  for (int64_t k = 0; k < rows.in; ++k)
    out[k] = to_float(Fp8{rows.codes_of(row)[k]}) * rows.scales_of(row)[k / kSquare];
}

inline constexpr EncodingRules kRules{
    .bytes = num_bytes,
    .num_codes = [](int64_t in) { return in; },
    .num_scales = [](const WeightFormat&, int64_t in) { return num_squares(in); },
    .encode = encode_rows,
    .rows_at_once = kSquare,
    .decode = decode_row,
    .column_unit = [](const WeightFormat&) { return int64_t{kSquare}; },
    .take_columns = take_codes_and_scales,
};

}  // namespace erne::block_fp8
