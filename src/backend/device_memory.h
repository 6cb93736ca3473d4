// Memory of a device, as the rest of the product sees it: addresses that one may store, move along
// and hand back to the back end they came from, and that nobody can look through. Host memory is
// TensorView and std::span; device memory is DeviceView and DeviceSpan; the only ways between them
// are Backend's upload and download, and copy_in and copy_out, which do not wait. So a device whose
// memory the host cannot read stands behind the same calls.
//
// Only a back end turns an address into a pointer (DeviceAccess); tests/layering checks who names
// that class.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "backend/device_pointer.h"
#include "tensor/tensor_view.h"

namespace erne {

// Bytes of a back end's memory. No ownership.
struct DeviceSpan {
  DevicePointer data;
  size_t bytes = 0;
};

// A tensor in a back end's memory. No ownership; row-major; contiguous.
struct DeviceView {
  DevicePointer data;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t elements() const { return shape.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * dtype_bytes(dtype); }
  DeviceSpan span() const { return {data, bytes()}; }
  // `count` rows of dimension 0, from `first` on.
  DeviceView rows(int64_t first, int64_t count) const;
  DeviceView first(int64_t count) const { return rows(0, count); }
  // The same number of rows with a smaller width, packed densely at the beginning of the memory.
  DeviceView with_width(int64_t width) const;
};

// Move-only owner of host memory that a back end copies from and to best (on a GPU: pinned).
// Zeroed, aligned to 64 bytes.
class HostBuffer {
 public:
  HostBuffer() = default;
  HostBuffer(void* data, size_t bytes, std::function<void(void*)> free)
      : memory_(data, std::move(free)), bytes_(bytes) {}
  void* data() const { return memory_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  friend class DeviceBuffer;
  std::unique_ptr<void, std::function<void(void*)>> memory_;
  size_t bytes_ = 0;
};

// Move-only owner of memory of a back end, which must outlive it; likewise zeroed
// and aligned.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(void* data, size_t bytes, std::function<void(void*)> free)
      : memory_(data, std::move(free)), bytes_(bytes) {}
  // For a back end whose memory is the host's.
  explicit DeviceBuffer(HostBuffer host) : memory_(std::move(host.memory_)), bytes_(host.bytes_) {}
  DevicePointer data() const { return DeviceAccess::address(memory_.get()); }
  size_t bytes() const { return bytes_; }
  DeviceSpan span() const { return {data(), bytes_}; }

 private:
  std::unique_ptr<void, std::function<void(void*)>> memory_;
  size_t bytes_ = 0;
};

}  // namespace erne
