// Rows of activations in the form in which a product takes them.
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/tensor_view.h"

namespace erne::cpu {

// As given: numbers are the activations, float32 or bfloat16, and there are no scales.
// int8 rows: numbers are integers, a scale and a sum for each group of each row.
// fp8 rows: numbers are those of tensor/fp8.h, as bfloat16 where the kernels multiply pairs, else
// float32; a scale for each group of each row.
struct ActivationRows {
  DType type;       // of a number
  std::byte* data;  // [rows, stride]
  int64_t stride;   // numbers from one row to the next
  int64_t groups = 0;
  float* scales = nullptr;  // [rows, groups]
  int32_t* sums = nullptr;  // [rows, groups] int8 rows: of the integers of a group
};

template <class T>
static inline T* numbers_of(const ActivationRows& rows) {
  return reinterpret_cast<T*>(rows.data);
}

// int8 kernels may read this many rows behind the last: whatever lies there, it counts for nothing.
constexpr int kRowPadding = 31;

}  // namespace erne::cpu
