// Which back ends there are: the one table of them, and the only file that names their folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/device_options.h"
#include "backend/backend.h"
#include "base/status.h"

namespace erne::apps {

// Makes a back end like the chosen one that computes nothing and counts memory; null where ops work
// in none of their own.
using MakeRehearsal = std::function<std::unique_ptr<Backend>()>;

struct ChosenBackend {
  std::unique_ptr<Backend> backend;
  MakeRehearsal make_rehearsal;
  int threads = 0;      // of the host that compute, the caller included
  std::string summary;  // for a start's first line: "CPU, avx2 kernels, 8 threads"
};

// "auto" is GPU 0 where this binary and this machine have one, and else the CPU; of instruction
// sets, the best that the machine has. Refused: other names, and what this machine lacks.
Result<ChosenBackend> make_backend(const DeviceOptions& options);

// 0: one per CPU that this process may use; else so many, up to a number beyond which they would
// only wait for each other.
Result<int> choose_threads(int64_t asked, int usable_cpus);

// Memory of the host that is free, which is a back end's own memory() where that is the host's.
size_t free_host_bytes();

// "auto" first, then every instruction set with kernels, whether this machine has it or not.
std::vector<std::string> cpu_isa_names();

}  // namespace erne::apps
