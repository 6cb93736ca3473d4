// Where kernels are launched into (launch.h).
#pragma once

#include <cstdint>

#include "cuda/language/device_choice.h"

#if defined(ERNE_CUDA_EMULATED)
#include <deque>
#include <functional>

#include "cuda/emulation/device_model.h"
#include "cuda/emulation/global_memory.h"
#else
#include <cuda_runtime.h>
#endif

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct Stream {
  int64_t launches = 0;       // asked for so far
  bool is_rehearsal = false;  // they are counted, and nothing runs

#if defined(ERNE_CUDA_EMULATED)
  std::deque<std::function<void()>>* recording = nullptr;  // null: work is done at once
  emulation::DeviceModel model = {};                       // which kernels run on

  void run(std::function<void()> work) {
    if (recording != nullptr)
      recording->push_back(std::move(work));
    else
      work();
  }
#else
  cudaStream_t handle = nullptr;
  bool starts_early = false;  // launches may begin before those before them end
  bool is_ordered = false;    // not the next one
#endif
};

// The next launch begins when all before it have ended, wherever it waits.
inline void order_launches(Stream& stream) {
#if defined(ERNE_CUDA_EMULATED)
  stream.run(emulation::end_launches);
#else
  stream.is_ordered = true;
#endif
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
