// The AVX-512 kernels, but for products of many rows and codes, which go to the tile unit. Compiled
// for AVX-512 (src/CMakeLists.txt); reached only through its table. tests/parity compiles it once
// more, for AVX2, with an emulated tile unit and a table of another name.
#include "cpu/avx512_dots.h"
#include "cpu/vector_kernels.h"
// The lanes come first.
#include "cpu/amx_code_linear.h"

#ifndef ERNE_AMX_TABLE
#define ERNE_AMX_TABLE amx_kernels
#endif

namespace erne::cpu {

const Kernels& ERNE_AMX_TABLE() {
  static constexpr Kernels kKernels = [] {
    Kernels kernels = make_vector_kernels();
    kernels.code_linear = amx_code_linear;
    return kernels;
  }();
  return kKernels;
}

}  // namespace erne::cpu
