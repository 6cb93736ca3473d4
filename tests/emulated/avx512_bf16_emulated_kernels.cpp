// avx512_bf16_kernels.cpp of src/cpu/kernels once more, in AVX2 instructions.
#define ERNE_LANES_FILE "cpu/lanes/avx512_bf16.h"
#include "cpu/kernels/vector_kernels.h"
#include "emulated/emulated_kernels.h"

namespace erne::cpu {

const Kernels& avx512_bf16_emulated_kernels() {
  static const Kernels kKernels = make_pair_kernels<avx512_emulated_kernels>();
  return kKernels;
}

}  // namespace erne::cpu
