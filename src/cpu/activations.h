// Makes activations into what products multiply: as given, int8 rows or fp8 rows. Rows are valid
// until the next call. One thread at a time calls.
#pragma once

#include <span>

#include "backend/backend.h"
#include "cpu/kernels/kernels.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

// Some rows and what they are multiplied by.
struct Product {
  const Linear* w;
  int64_t first_row, num_rows;
};

// The rows from `row` on.
ActivationRows rows_from(const ActivationRows& rows, int64_t row);

class Activations {
 public:
  Activations(const Kernels& kernels, ThreadPool& pool) : kernels_(kernels), pool_(pool) {}

  // Row r is made of x[source[r]]; `source` is empty: of x[r].
  //
  // The activations unchanged, but for bfloat16 that is not multiplied in pairs: it becomes
  // float32.
  ActivationRows as_given(const TensorView& x, std::span<const int32_t> source, bool in_pairs);
  // Each row by the scale of what it is multiplied by (Linear::input_largest), or by its own where
  // that has none.
  ActivationRows as_int8(const TensorView& x, std::span<const int32_t> source,
                         std::span<const Product> products);
  ActivationRows as_fp8(const TensorView& x, std::span<const int32_t> source);

 private:
  ActivationRows widened(const TensorView& x);
  ActivationRows chosen(const ActivationRows& rows, std::span<const int32_t> source);

  const Kernels& kernels_;
  ThreadPool& pool_;
  Scratch rows_, chosen_;
};

}  // namespace erne::cpu
