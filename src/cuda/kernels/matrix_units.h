// Which matrix instructions products of many rows take: those of a warp, or, on cards that have
// them, those of a warpgroup, which are faster.
#pragma once

#include <cstdint>

#include "cuda/language/device_choice.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

class Runtime;
class Scratch;

enum class MatrixUnits { kWarps, kWarpgroups };

// Of a small product that is computed both ways.
struct UnitsComparison {
  int64_t sums, different;  // different: in any bit
};

namespace kernels {

// On a card of compute capability 9.0. Takes device memory and gives it back.
UnitsComparison compare_matrix_units(Runtime& runtime, Scratch& scratch);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
