// Which instruction sets the kernels are written for, and which of them this machine has. Any
// thread may ask.
#pragma once

#include <string_view>

#include "base/status.h"

namespace erne::cpu {

enum class CpuIsa { kReference, kAvx2, kAvx512, kAvx512Bf16, kAmx };
inline constexpr CpuIsa kCpuIsas[] = {CpuIsa::kReference, CpuIsa::kAvx2, CpuIsa::kAvx512,
                                      CpuIsa::kAvx512Bf16, CpuIsa::kAmx};

const char* cpu_isa_name(CpuIsa isa);  // as parse_cpu_isa() takes it
bool cpu_supports(CpuIsa isa);

// "auto" (the best this machine has) or the name of a set: isa.cpp has the table. Refused: another
// name, or an instruction set that this machine does not have.
Result<CpuIsa> parse_cpu_isa(std::string_view name);

}  // namespace erne::cpu
