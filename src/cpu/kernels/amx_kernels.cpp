// The AVX-512 kernels with BF16, and the tile unit of AMX. Compiled for AVX-512
// (src/CMakeLists.txt); reached only through its table.
#define ERNE_LANES_FILE "cpu/lanes/avx512.h"
#include "cpu/kernels/tile_kernels.h"

namespace erne::cpu {

const Kernels& amx_kernels() {
  static const Kernels kKernels = make_tile_kernels<avx512_bf16_kernels>();
  return kKernels;
}

}  // namespace erne::cpu
