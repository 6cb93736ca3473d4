// Rows of a weight as loaded, as float32: what encoders take.
#pragma once

#include <algorithm>
#include <span>

#include "tensor/tensor_view.h"

namespace erne::cpu {

// Element types are told apart outside the loops: so the compiler makes vectors of them.
inline void read_row(const TensorView& matrix, int64_t row, std::span<float> out) {
  const int64_t first = row * matrix.shape[1];
  if (matrix.dtype == DType::kBf16)
    for (size_t k = 0; k < out.size(); ++k) out[k] = to_float(matrix.as<const Bf16>()[first + k]);
  else
    std::copy_n(matrix.as<const float>() + first, out.size(), out.begin());
}

}  // namespace erne::cpu
