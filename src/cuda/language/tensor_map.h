// What a bulk copy of a box is told of the tensor that it reads: made on the host, handed to a
// kernel as one of its members.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/language/device_choice.h"

#if defined(ERNE_CUDA_EMULATED)
#include <cstring>

#include "cuda/emulation/global_memory.h"
#else
#include <cuda.h>
#endif

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// A matrix of bfloat16 in the device's memory, or a stack of them, and a box of kBoxColumns columns
// and so many rows, of one matrix. Address and strides: multiples of 16 bytes.
struct TensorShape {
  static constexpr int kBoxColumns = 64;  // 128 bytes, as far as a swizzle reaches

  const void* data;
  int64_t columns, rows;
  int64_t row_bytes;                       // from one to the next
  int box_rows;                            // at most 256
  int64_t matrices = 0, matrix_bytes = 0;  // 0: no stack, two dimensions
};

#if defined(ERNE_CUDA_EMULATED)

struct TensorMap {
  TensorShape shape;

  // Eight neighbours of a row, zeros where there are none.
  void read(std::byte* to, int64_t column, int64_t row, int64_t matrix) const {
    constexpr int64_t kNumbers = 8, kNumberBytes = 2;
    std::memset(to, 0, kNumbers * kNumberBytes);
    if (column < 0 || row < 0 || matrix < 0 || column >= shape.columns || row >= shape.rows) return;
    if (matrix > 0 && matrix >= shape.matrices) return;
    const auto* const from = static_cast<const std::byte*>(shape.data) +
                             matrix * shape.matrix_bytes + row * shape.row_bytes +
                             column * kNumberBytes;
    const int64_t left = shape.columns - column;
    const size_t bytes = (left < kNumbers ? left : kNumbers) * kNumberBytes;
    emulation::check_global(from, bytes, kNumberBytes);
    std::memcpy(to, from, bytes);
  }
};

#else

using TensorMap = CUtensorMap;

#endif

// Ends the program where the shape breaks a rule. DeviceFailure where the driver has no such maps.
TensorMap make_tensor_map(const TensorShape& shape);

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
