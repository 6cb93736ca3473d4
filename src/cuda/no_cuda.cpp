#include "cuda/cuda_backend.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

Result<std::unique_ptr<Backend>> make_cuda_backend(int, HostThreads) {
  return unsupported(
      "this binary was built without a CUDA compiler, so it computes on the CPU; docs/cuda.md says "
      "how to "
      "build it with one",
      "--device");
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
