// Compiled with -mavx2 -mfma (src/CMakeLists.txt); reached only through its table.
#include "cpu/avx2_dots.h"
#include "cpu/vector_kernels.h"

namespace erne::cpu {

const Kernels& avx2_kernels() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
