// The AVX-512 kernels where products of pairs of bfloat16 are one instruction. Compiled for AVX-512
// with BF16 (src/CMakeLists.txt); reached only through its table. tests/parity compiles it once
// more, for AVX2 and with a table of another name.
#define ERNE_BF16_ROWS
#define ERNE_LANES_FILE "cpu/lanes/avx512_dots.h"
#include "cpu/kernels/vector_kernels.h"

#ifndef ERNE_AVX512_BF16_TABLE
#define ERNE_AVX512_BF16_TABLE avx512_bf16_kernels
#endif

namespace erne::cpu {

const Kernels& ERNE_AVX512_BF16_TABLE() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
