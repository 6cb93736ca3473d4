// Threads of the host that a back end may use, which are not its own.
#pragma once

#include <cstdint>
#include <functional>

namespace erne::cuda {

// body(i) for each i in [0, count): Backend::parallel_for.
using HostThreads = std::function<void(int64_t count, const std::function<void(int64_t)>& body)>;

}  // namespace erne::cuda
