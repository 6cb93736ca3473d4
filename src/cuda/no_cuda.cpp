#include "cuda/cuda_backend.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

namespace {

Status no_compiler() {
  return unsupported(
      "this binary was built without a CUDA compiler, so it computes on the CPU; docs/cuda.md says "
      "how to build it with one",
      "--device");
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(int, HostThreads) {
  return no_compiler();
}

Result<std::unique_ptr<Backend>> make_cuda_rehearsal(int) {
  return no_compiler();
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
