// Which instruction sets the kernels are written for, and which of them this machine has. Any
// thread may ask.
#pragma once

namespace erne::cpu {

enum class CpuIsa { kReference, kAvx2, kAvx512, kAvx512Bf16, kAmx };
// Each is better than those before it.
inline constexpr CpuIsa kCpuIsas[] = {CpuIsa::kReference, CpuIsa::kAvx2, CpuIsa::kAvx512,
                                      CpuIsa::kAvx512Bf16, CpuIsa::kAmx};

const char* cpu_isa_name(CpuIsa isa);  // as users name it
bool cpu_supports(CpuIsa isa);
CpuIsa best_cpu_isa();  // that this machine supports

}  // namespace erne::cpu
