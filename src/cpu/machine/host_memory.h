// Memory of the host: what there is for this process, and buffers in it.
#pragma once

#include <filesystem>

#include "backend/backend.h"

namespace erne::cpu {

// Zeroed, aligned to 64 bytes; large ones on huge pages where the system gives them.
HostBuffer allocate_host(size_t bytes);

// Memory that only grows: the ops of a running server allocate nothing. Each call's is the same
// piece, aligned as allocate_host().
class Scratch {
 public:
  std::byte* bytes(int64_t count) {
    const auto bytes = static_cast<size_t>(count);
    if (bytes > buffer_.bytes()) buffer_ = allocate_host(bytes + bytes / 2);
    return static_cast<std::byte*>(buffer_.data());
  }
  float* floats(int64_t count) {
    return reinterpret_cast<float*>(bytes(count * static_cast<int64_t>(sizeof(float))));
  }

 private:
  HostBuffer buffer_;
};

// The machine's memory or the control group's limit, whichever is smaller, and what of it can still
// be had without swapping and within the process's own limits. `root` is "/" but for tests.
MemoryInfo host_memory(const std::filesystem::path& root = "/");

// CPUs in the affinity mask, at most the CPU quota of the control group, at least 1.
int host_cpus(const std::filesystem::path& root = "/");

}  // namespace erne::cpu
