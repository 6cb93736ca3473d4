// Which matrix instructions a card's products take is decided when the back end begins. Equal
// tokens need equal bits whichever kernel computes a product, and what a card rounds inside an
// instruction is written nowhere: so its two kinds are compared.
#pragma once

#include <string>

#include "cuda/kernels/matrix_units.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct ChosenUnits {
  MatrixUnits units;
  std::string why;  // for the log
};

// Warpgroups where the card has them and a small product, computed both ways, has the same bits.
ChosenUnits choose_matrix_units(Runtime& runtime, Scratch& scratch);

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
