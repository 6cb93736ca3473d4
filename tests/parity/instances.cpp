#include "parity/instances.h"

#include "cpu/cpu_backend.h"

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
};

}  // namespace

std::span<const Instance> instances() {
  return kInstances;
}

}  // namespace erne::parity
