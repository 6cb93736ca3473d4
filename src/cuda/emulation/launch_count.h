#pragma once

#include <cstdint>

namespace erne::cuda::emulation {

// Of kernels that have run on this thread of the host.
uint64_t launch_count();

}  // namespace erne::cuda::emulation
