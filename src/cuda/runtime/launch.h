// Starts a kernel on a stream. device_code.h says what a kernel is.
#pragma once

#include "cuda/language/device_code.h"
#include "cuda/runtime/stream.h"

#if defined(__CUDACC__)
#include "cuda/runtime/cuda_call.h"
#endif

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

// How many pieces of `piece` cover `count`.
constexpr int64_t pieces(int64_t count, int64_t piece) {
  return (count + piece - 1) / piece;
}

// kernel.threads() where a kernel has that, at most kThreads.
template <class Kernel>
int block_threads(const Kernel& kernel) {
  if constexpr (requires { kernel.threads(); })
    return kernel.threads();
  else
    return Kernel::kThreads;
}

// What each thread of a launch does.
template <class Kernel>
ON_DEVICE void run_thread(const Kernel& kernel) {
  let_next_begin();
  if constexpr (!requires { Kernel::kStartsEarly; }) wait_for_earlier();
  kernel.run();
}

#if defined(ERNE_CUDA_EMULATED)

template <class Kernel>
void launch(Stream& stream, Grid grid, const Kernel& kernel) {
  ++stream.launches;
  if (stream.is_rehearsal) return;
  stream.run([model = stream.model, grid, kernel] {
    const emulation::Place place{static_cast<int>(grid.x), static_cast<int>(grid.y),
                                 static_cast<int>(grid.z)};
    emulation::run_grid(model, typeid(Kernel).name(), place, block_threads(kernel),
                        kernel.shared_bytes(), [&kernel] { run_thread(kernel); });
  });
}

#elif defined(__CUDACC__)

template <class Kernel>
constexpr int least_blocks() {
  if constexpr (requires { Kernel::kLeastBlocks; })
    return Kernel::kLeastBlocks;
  else
    return 1;
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, least_blocks<Kernel>())
    entry(const __grid_constant__ Kernel kernel) {
  run_thread(kernel);
}

template <class Kernel>
void launch(Stream& stream, Grid grid, const Kernel& kernel) {
  ++stream.launches;
  if (stream.is_rehearsal) return;
  const size_t shared = kernel.shared_bytes();
  constexpr size_t kAlwaysAllowed = 48 << 10;
  if (shared > kAlwaysAllowed)
    cuda_call("cudaFuncSetAttribute",
              cudaFuncSetAttribute(entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shared)));
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                    static_cast<unsigned>(grid.z));
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(block_threads(kernel)));
  config.dynamicSmemBytes = shared;
  config.stream = stream.handle;
  config.attrs = &early;
  config.numAttrs = stream.starts_early && !stream.is_ordered ? 1 : 0;
  stream.is_ordered = false;
  cuda_call("launch", cudaLaunchKernelEx(&config, entry<Kernel>, kernel));
}

#endif

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
