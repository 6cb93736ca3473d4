// Which instruction sets this machine has, and their names.
#include <fmt/format.h>

#include "cpu/cpu_backend.h"
#include "cpu/host_memory.h"

namespace erne::cpu {

const char* cpu_isa_name(CpuIsa isa) {
  return isa == CpuIsa::kAvx2 ? "avx2" : "reference";
}

bool cpu_supports(CpuIsa isa) {
  // The compiler's check covers CPUID and whether the system saves the wide registers.
  return isa == CpuIsa::kReference ||
         (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
}

int usable_cpus() {
  return host_cpus();
}

Result<CpuIsa> parse_cpu_isa(std::string_view name) {
  if (name == "auto") return cpu_supports(CpuIsa::kAvx2) ? CpuIsa::kAvx2 : CpuIsa::kReference;
  for (CpuIsa isa : {CpuIsa::kReference, CpuIsa::kAvx2}) {
    if (name != cpu_isa_name(isa)) continue;
    if (!cpu_supports(isa))
      return unsupported(fmt::format("this machine has no {0} instructions; use \"auto\" or "
                                     "\"reference\" instead of \"{0}\"",
                                     name),
                         "cpu-isa");
    return isa;
  }
  return invalid(
      fmt::format("unknown instruction set \"{}\"; allowed are auto, reference, avx2", name),
      "cpu-isa");
}

}  // namespace erne::cpu
