// avx512_kernels.cpp of src/cpu/kernels once more, in AVX2 instructions.
#define ERNE_LANES_FILE "cpu/lanes/avx512.h"
#include "cpu/kernels/vector_kernels.h"
#include "emulated/emulated_kernels.h"

namespace erne::cpu {

const Kernels& avx512_emulated_kernels() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
