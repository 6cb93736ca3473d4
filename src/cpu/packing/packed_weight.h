// A packed matrix as kernels see it, whatever its encoding: the views in *_panels.h say what lies
// in a panel.
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/weight_format.h"

namespace erne::cpu {

struct PackedWeight {
  std::byte* data;  // the first panel
  const WeightFormat* format;
  int64_t in;
  int64_t group;        // inputs that share a scale, where the format has groups
  int64_t input_group;  // int8 activations that share one
};

}  // namespace erne::cpu
