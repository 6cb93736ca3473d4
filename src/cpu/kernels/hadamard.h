// The Hadamard transform of neighbouring numbers, which some checkpoints have turned the weights of
// a linear by: y = x W^T = (x H) (W H)^T, with outliers of x spread over a block.
#pragma once

#include <cstdint>

#include "tensor/tensor_view.h"

namespace erne::cpu {

// x [num_rows, width] in place, each `block` neighbours by H / sqrt(block): sums in float32, of
// neighbours first, rounded once. block: a power of two up to kMaxRotation that divides width.
void rotate_rows(DType type, void* x, int64_t num_rows, int64_t width, int block);

}  // namespace erne::cpu
