// Device memory of a CPU back end is memory of the host: what addresses and views of it are here.
#pragma once

#include <span>

#include "backend/device_memory.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {

inline TensorView host_view(const DeviceView& view) {
  return {DeviceAccess::pointer(view.data), view.dtype, view.shape};
}

template <class T>
std::span<const T> host_span(const DeviceView& view) {
  return {DeviceAccess::pointer<const T>(view.data), static_cast<size_t>(view.elements())};
}

}  // namespace erne::cpu
