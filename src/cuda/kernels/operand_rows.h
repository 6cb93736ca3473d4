// Rows of activations in operand order (cuda/packing/fragments.h), in which warpgroup instructions
// read them by way of a tensor map.
#pragma once

#include "cuda/kernels/expert_lists.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/language/tensor_map.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Of rows of bfloat16: boxes of so many of them.
inline TensorMap rows_map(const ProductRows& x, int box_rows) {
  return make_tensor_map({.data = x.numbers.address(),
                          .columns = x.row_bytes / static_cast<int64_t>(sizeof(Bf16)),
                          .rows = x.num_rows,
                          .row_bytes = x.row_bytes,
                          .box_rows = box_rows});
}

namespace kernels {

// Of bfloat16, in scratch memory; scales are those of x.
ProductRows operand_rows(Stream& stream, Scratch& scratch, const ProductRows& x);
// The numbers of rows of pairs as they are listed, each row p / pairs_per_row of x for its pair.
ProductRows operand_rows(Stream& stream, Scratch& scratch, const ProductRows& x,
                         const ExpertLists& lists, int64_t num_pairs);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
