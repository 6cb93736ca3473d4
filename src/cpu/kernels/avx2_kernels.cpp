// Compiled with -mavx2 -mfma -mf16c (src/CMakeLists.txt); reached only through its table.
#define ERNE_LANES_FILE "cpu/lanes/avx2.h"
#include "cpu/kernels/vector_kernels.h"

namespace erne::cpu {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
