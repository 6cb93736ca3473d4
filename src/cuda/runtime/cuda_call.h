// Calls of CUDA's runtime, each of which may fail.
#pragma once

#include <cuda_runtime.h>

#include "backend/device_failure.h"

namespace erne::cuda::inline gpu {

// DeviceFailure unless it went well.
void cuda_call(const char* what, cudaError_t result);

}  // namespace erne::cuda::inline gpu
