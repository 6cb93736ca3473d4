#include <string>

#include "base/check.h"
#include "cpu/kernels/kernels.h"
#include "cpu/machine/isa.h"

namespace erne::cpu {

const Kernels& kernels_of(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kReference:
      return reference_kernels();
    case CpuIsa::kAvx2:
      return avx2_kernels();
    case CpuIsa::kAvx512:
      return avx512_kernels();
    case CpuIsa::kAvx512Bf16:
      return avx512_bf16_kernels();
    case CpuIsa::kAmx:
      return amx_kernels();
  }
  check_failed(__FILE__, __LINE__, "an instruction set", std::to_string(static_cast<int>(isa)));
}

}  // namespace erne::cpu
