#include "device/devices.h"

#include "cpu/cpu_backend.h"
#include "cuda/cuda_backend.h"
#include "cuda/emulated_backend.h"
#include "device/remote_backend.h"

namespace erne::tests {
namespace {

void one_by_one(int64_t count, const std::function<void(int64_t)>& body) {
  for (int64_t i = 0; i < count; ++i) body(i);
}

bool has_avx2() {
  return cpu::cpu_supports(cpu::CpuIsa::kAvx2);
}

bool can_emulate_a_gpu() {
  return has_avx2() && cuda::emulated::make_cuda_backend(0, one_by_one).ok();
}

constexpr Device kDevices[] = {
    {"cpu_remote", has_avx2,
     [](int threads) { return make_remote(cpu::make_cpu_backend(cpu::CpuIsa::kAvx2, threads)); },
     Speed::kSlow, "cpu"},
    {"cuda_emulated", can_emulate_a_gpu,
     [](int) { return cuda::emulated::make_cuda_backend(0, one_by_one).value(); }, Speed::kEmulated,
     "cuda_emulated"},
    {"gpu", [] { return cuda::gpu::make_cuda_backend(0, one_by_one).ok(); },
     [](int) { return cuda::gpu::make_cuda_backend(0, one_by_one).value(); }, Speed::kFull, "gpu"},
};

}  // namespace

std::span<const Device> other_devices() {
  return kDevices;
}

}  // namespace erne::tests
