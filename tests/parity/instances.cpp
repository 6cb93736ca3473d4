#include "parity/instances.h"

#include "cpu/cpu_backend.h"
#include "cpu/kernel_backend.h"

namespace erne::cpu {
const Kernels& avx512_emulated_kernels();  // cpu/avx512_kernels.cpp, compiled for AVX2
}

namespace erne::parity {
namespace {

template <cpu::CpuIsa isa>
constexpr Instance cpu_instance(const char* name) {
  return {name, [] { return cpu::cpu_supports(isa); },
          [](int threads) { return cpu::make_cpu_backend(isa, threads); }};
}

constexpr Instance kInstances[] = {
    cpu_instance<cpu::CpuIsa::kReference>("cpu_reference"),
    cpu_instance<cpu::CpuIsa::kAvx2>("cpu_avx2"),
    cpu_instance<cpu::CpuIsa::kAvx512>("cpu_avx512"),
    {"cpu_avx512_emulated", [] { return cpu::cpu_supports(cpu::CpuIsa::kAvx2); },
     [](int threads) {
       return cpu::make_cpu_backend("cpu-avx512-emulated", cpu::avx512_emulated_kernels(), threads);
     }},
};

}  // namespace

std::span<const Instance> instances() {
  return kInstances;
}

}  // namespace erne::parity
