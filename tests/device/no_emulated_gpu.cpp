// Where the emulated GPU is not built (tests/CMakeLists.txt).
#include "cuda/emulated_backend.h"

namespace erne::cuda::emulated {

Result<std::unique_ptr<Backend>> make_cuda_backend(int, HostThreads) {
  return unsupported("this build has no emulated GPU");
}

Result<std::unique_ptr<Backend>> make_cuda_rehearsal(int) {
  return unsupported("this build has no emulated GPU");
}

}  // namespace erne::cuda::emulated
