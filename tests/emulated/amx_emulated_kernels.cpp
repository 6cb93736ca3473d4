// amx_kernels.cpp of src/cpu/kernels once more, in AVX2 instructions and with a tile unit in plain
// C++.
#define ERNE_LANES_FILE "cpu/lanes/avx512.h"
#define ERNE_TILES_FILE "emulated/emulated_tiles.h"
#include "cpu/kernels/tile_kernels.h"
#include "emulated/emulated_kernels.h"

namespace erne::cpu {

const Kernels& amx_emulated_kernels() {
  static const Kernels kKernels = make_tile_kernels<avx512_bf16_emulated_kernels>();
  return kKernels;
}

}  // namespace erne::cpu
