// The CUDA back end on the emulated device, beside that of cuda/cuda_backend.h.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "base/status.h"
#include "cuda/host_threads.h"

namespace erne::cuda::emulated {

Result<std::unique_ptr<Backend>> make_cuda_backend(int device, HostThreads host_threads);
Result<std::unique_ptr<Backend>> make_cuda_rehearsal(int device);

}  // namespace erne::cuda::emulated
