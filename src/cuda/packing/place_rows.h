// Rows that are encoded already in the order of packed_matrix.h, made in the host's memory to be
// copied to the device. Rows begin at a panel. What the device encodes is in pack_weights.cu.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cuda/packing/packed_matrix.h"
#include "tensor/encoded_rows.h"
#include "tensor/tensor_view.h"

namespace erne::cuda {

// Some rows' bytes, and where in the matrix they belong.
struct PlacedRows {
  std::vector<std::byte> numbers;
  int64_t numbers_at;  // bytes from the beginning of the matrix
  std::vector<float> scales;
  int64_t scales_at;
};

PlacedRows place_rows(const PackedMatrix& matrix, const EncodedRows& rows, int64_t first_row);

// Rows as loaded, bfloat16 or float32, in the numbers of a quantised format.
EncodedRows encode_rows(const WeightFormat& format, const TensorView& rows);

}  // namespace erne::cuda
