// The devices that suites run on besides this machine's CPU as it is: what runs here and there is
// the same product.
#pragma once

#include <memory>
#include <span>

#include "backend/backend.h"

namespace erne::tests {

// Tests give slow devices less to do, and little to one that is emulated thread by thread.
enum class Speed { kFull, kSlow, kEmulated };

struct Device {
  const char* name;
  bool (*available)();
  std::unique_ptr<Backend> (*make)(int threads);  // of the host
  Speed speed;
  const char* arithmetic;  // of cpu/arithmetic.h, or its own
};

// cpu_remote (remote_backend.h); cuda_emulated, the CUDA back end on the device that src/cuda
// emulates; gpu, where this machine has one and the build a compiler for it.
std::span<const Device> other_devices();

}  // namespace erne::tests
