// The kernels of AVX-512 and AMX once more, compiled for AVX2 and with a tile unit in plain C++: so
// machines that lack those instructions prove them, too. Whether cpu_supports() AVX2 is the
// caller's to ask.
#pragma once

#include "cpu/kernels/kernels.h"

namespace erne::cpu {

const Kernels& avx512_emulated_kernels();
const Kernels& avx512_bf16_emulated_kernels();
const Kernels& amx_emulated_kernels();

}  // namespace erne::cpu
