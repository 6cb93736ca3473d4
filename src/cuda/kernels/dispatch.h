// From what the ops of the back end are given to what kernels take: types that are known when the
// program runs become such that are known when it is compiled, and addresses become memory.
#pragma once

#include "backend/device_memory.h"
#include "base/check.h"
#include "cuda/language/device_code.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// body.operator()<T>(), T the activations' type.
template <class Body>
void with_activation(DType dtype, const Body& body) {
  if (dtype == DType::kF32) {
    body.template operator()<float>();
  } else {
    CHECK(dtype == DType::kBf16);
    body.template operator()<Bf16>();
  }
}

template <class T>
Global<T> global(const DeviceView& view) {
  return Global<T>(DeviceAccess::pointer(view.data));
}

// `count` elements of scratch memory, until the next op.
template <class T>
Global<T> take(Scratch& scratch, int64_t count) {
  return Global<T>(scratch.bytes(static_cast<size_t>(count) * sizeof(T)));
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
