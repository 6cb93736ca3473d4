// The AVX-512 kernels with BF16, but for what goes to the tile unit: products of many rows and
// codes, and of bfloat16 where its order of sums is allowed. Compiled for AVX-512
// (src/CMakeLists.txt); reached only through its table. tests/parity compiles it once more, for
// AVX2, with an emulated tile unit and tables of other names.
#define ERNE_LANES_FILE "cpu/lanes/avx512_dots.h"
#include "cpu/kernels/amx_int8_row_linear.h"
#include "cpu/kernels/amx_linear.h"

#ifndef ERNE_AMX_TABLE
#define ERNE_AMX_TABLE amx_kernels
#define ERNE_AVX512_BF16_TABLE avx512_bf16_kernels
#endif

namespace erne::cpu {

const Kernels& ERNE_AVX512_BF16_TABLE();

namespace {

void amx_code_linear(const CodeLinearTask& task, uint8_t* scratch) {
  if (task.num_rows < kLeastTileRows) return ERNE_AVX512_BF16_TABLE().code_linear(task, scratch);
  tiled_code_linear(task, scratch);
}

}  // namespace

const Kernels& ERNE_AMX_TABLE() {
  static const Kernels kKernels = [] {
    Kernels kernels = ERNE_AVX512_BF16_TABLE();
    kernels.code_linear = amx_code_linear;
    kernels.tile_linear = tile_linear;
    return kernels;
  }();
  return kKernels;
}

}  // namespace erne::cpu
