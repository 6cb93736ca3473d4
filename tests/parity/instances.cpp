#include "parity/instances.h"

#include "cpu/cpu_backend.h"
#include "cpu/kernel_backend.h"
#include "device/remote_backend.h"
#include "emulated/emulated_kernels.h"

namespace erne::parity {
namespace {

template <cpu::CpuIsa isa>
constexpr Instance cpu_instance(const char* name) {
  return {name, [] { return cpu::cpu_supports(isa); },
          [](int threads) { return cpu::make_cpu_backend(isa, threads); },
          isa == cpu::CpuIsa::kAmx};
}

template <const cpu::Kernels& (*kernels)()>
constexpr Instance emulated_instance(const char* name, bool has_tiles = false) {
  return {name, [] { return cpu::cpu_supports(cpu::CpuIsa::kAvx2); },
          [](int threads) { return cpu::make_cpu_backend("emulated", kernels(), threads); },
          has_tiles};
}

constexpr Instance kInstances[] = {
    cpu_instance<cpu::CpuIsa::kReference>("cpu_reference"),
    cpu_instance<cpu::CpuIsa::kAvx2>("cpu_avx2"),
    cpu_instance<cpu::CpuIsa::kAvx512>("cpu_avx512"),
    cpu_instance<cpu::CpuIsa::kAvx512Bf16>("cpu_avx512_bf16"),
    cpu_instance<cpu::CpuIsa::kAmx>("cpu_amx"),
    emulated_instance<cpu::avx512_emulated_kernels>("cpu_avx512_emulated"),
    emulated_instance<cpu::avx512_bf16_emulated_kernels>("cpu_avx512_bf16_emulated"),
    emulated_instance<cpu::amx_emulated_kernels>("cpu_amx_emulated", true),
    {"cpu_remote", [] { return cpu::cpu_supports(cpu::CpuIsa::kAvx2); },
     [](int threads) {
       return tests::make_remote(cpu::make_cpu_backend(cpu::CpuIsa::kAvx2, threads));
     }},
};

}  // namespace

std::span<const Instance> instances() {
  return kInstances;
}

}  // namespace erne::parity
