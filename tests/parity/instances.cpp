#include "parity/instances.h"

#include <vector>

#include "cpu/cpu_backend.h"
#include "cpu/kernel_backend.h"
#include "device/devices.h"
#include "emulated/emulated_kernels.h"

namespace erne::parity {
namespace {

template <cpu::CpuIsa isa>
constexpr Instance cpu_instance(const char* name) {
  return {name,
          [] { return cpu::cpu_supports(isa); },
          [](int threads) { return cpu::make_cpu_backend(isa, threads); },
          isa == cpu::CpuIsa::kReference,
          "cpu",
          isa == cpu::CpuIsa::kAmx};
}

template <const cpu::Kernels& (*kernels)()>
constexpr Instance emulated_instance(const char* name, bool has_tiles = false) {
  return {name,
          [] { return cpu::cpu_supports(cpu::CpuIsa::kAvx2); },
          [](int threads) { return cpu::make_cpu_backend("emulated", kernels(), threads); },
          false,
          "cpu",
          has_tiles};
}

constexpr Instance kCpuInstances[] = {
    cpu_instance<cpu::CpuIsa::kReference>("cpu_reference"),
    cpu_instance<cpu::CpuIsa::kAvx2>("cpu_avx2"),
    cpu_instance<cpu::CpuIsa::kAvx512>("cpu_avx512"),
    cpu_instance<cpu::CpuIsa::kAvx512Bf16>("cpu_avx512_bf16"),
    cpu_instance<cpu::CpuIsa::kAmx>("cpu_amx"),
    emulated_instance<cpu::avx512_emulated_kernels>("cpu_avx512_emulated"),
    emulated_instance<cpu::avx512_bf16_emulated_kernels>("cpu_avx512_bf16_emulated"),
    emulated_instance<cpu::amx_emulated_kernels>("cpu_amx_emulated", true),
};

std::vector<Instance> all_instances() {
  std::vector<Instance> all(std::begin(kCpuInstances), std::end(kCpuInstances));
  for (const tests::Device& device : tests::other_devices())
    all.push_back({device.name, device.available, device.make, device.speed != tests::Speed::kFull,
                   device.arithmetic});
  return all;
}

}  // namespace

std::span<const Instance> instances() {
  static const std::vector<Instance> all = all_instances();
  return all;
}

}  // namespace erne::parity
