// cuda: the ops on NVIDIA GPUs. arithmetic.h says which sums are formed in which order; language/
// what kernels are written in, since the same code runs on a GPU and, thread by thread, on the host
// (emulation/), where it is tested; runtime/ is the device's memory and stream; packing/ the order
// of weights and KV; kernels/ the kernels. CudaBackend brings each op to its kernels.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "base/status.h"
#include "cuda/host_threads.h"
#include "cuda/language/device_choice.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// GPU number `device`. kUnsupported, with what to do, where there is none.
Result<std::unique_ptr<Backend>> make_cuda_backend(int device, HostThreads host_threads);
// Like it, but nothing is computed, and memory is only counted, without end: what memory() says is
// taken is what graphs take at most, and what was allocated since.
Result<std::unique_ptr<Backend>> make_cuda_rehearsal(int device);

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
