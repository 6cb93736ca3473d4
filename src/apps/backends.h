// Which back ends there are: the one table of them, and the only file that names their folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"

namespace erne::apps {

struct ChosenBackend {
  std::unique_ptr<Backend> backend;
  int threads = 0;      // that compute, the caller included
  std::string summary;  // for a start's first line: "CPU, avx2 kernels, 8 threads"
};

// "auto" (the best that this machine has) or a name of backend_names(), as --cpu-isa takes it.
// `threads` as choose_threads() takes it. Refused: other names, and what this machine lacks.
Result<ChosenBackend> make_backend(std::string_view name, int64_t threads);

// 0: one per CPU that this process may use; else so many, up to a number beyond which they would
// only wait for each other.
Result<int> choose_threads(int64_t asked, int usable_cpus);

// Memory of the host that is free, which is a back end's own memory() where that is the host's.
size_t free_host_bytes();

// "auto" first, then every row of the table, whether this machine has it or not.
std::vector<std::string> backend_names();

}  // namespace erne::apps
