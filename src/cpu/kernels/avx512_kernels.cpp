// Compiled for AVX-512 with VNNI (src/CMakeLists.txt); reached only through its table.
#define ERNE_LANES_FILE "cpu/lanes/avx512.h"
#include "cpu/kernels/vector_kernels.h"

namespace erne::cpu {

const Kernels& avx512_kernels() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
