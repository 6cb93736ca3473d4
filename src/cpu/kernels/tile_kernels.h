// The kernels of a machine with a tile unit: those of its vectors, but for what goes to the unit,
// products of int8 rows of some height, and of bfloat16 where the unit's order of sums is allowed.
// Everything is internal to the kernel file that includes this.
#pragma once

#include "cpu/kernels/amx_int8_row_linear.h"
#include "cpu/kernels/amx_linear.h"
#include "cpu/kernels/kernels.h"

namespace erne::cpu {
namespace {

template <const Kernels& (*vector_kernels)()>
void int8_row_linear_on_tiles(const EncodedLinearTask& task, std::byte* scratch) {
  constexpr int kIntegers = static_cast<int>(Encoding::kSymmetricInt);
  if (task.y.num_rows < kLeastTileRows)
    return vector_kernels().encodings[kIntegers].int8_row_linear(task, scratch);
  tiled_int8_row_linear(task, scratch);
}

template <const Kernels& (*vector_kernels)()>
Kernels make_tile_kernels() {
  Kernels kernels = vector_kernels();
  kernels.encodings[static_cast<int>(Encoding::kSymmetricInt)].int8_row_linear =
      int8_row_linear_on_tiles<vector_kernels>;
  kernels.tile_linear = tile_linear;
  return kernels;
}

}  // namespace
}  // namespace erne::cpu
