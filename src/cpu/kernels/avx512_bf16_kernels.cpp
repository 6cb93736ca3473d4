// The AVX-512 kernels where products of pairs of bfloat16 are one instruction. Compiled for AVX-512
// with BF16 (src/CMakeLists.txt); reached only through its table.
#define ERNE_LANES_FILE "cpu/lanes/avx512_bf16.h"
#include "cpu/kernels/vector_kernels.h"

namespace erne::cpu {

const Kernels& avx512_bf16_kernels() {
  static const Kernels kKernels = make_pair_kernels<avx512_kernels>();
  return kKernels;
}

}  // namespace erne::cpu
