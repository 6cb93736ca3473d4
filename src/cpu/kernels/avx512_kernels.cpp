// Compiled for AVX-512 (src/CMakeLists.txt); reached only through its table. tests/parity compiles
// it once more, for AVX2 and with a table of another name, so that every machine proves it.
#define ERNE_LANES_FILE "cpu/lanes/avx512_dots.h"
#include "cpu/kernels/vector_kernels.h"

#ifndef ERNE_AVX512_TABLE
#define ERNE_AVX512_TABLE avx512_kernels
#endif

namespace erne::cpu {

const Kernels& ERNE_AVX512_TABLE() {
  static constexpr Kernels kKernels = make_vector_kernels();
  return kKernels;
}

}  // namespace erne::cpu
