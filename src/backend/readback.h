// Results of ops, for the host to read: in their own place where device memory is host memory, and
// else a copy.
#pragma once

#include <span>

#include "backend/backend.h"

namespace erne {

class Readback {
 public:
  explicit Readback(Backend& backend) : backend_(backend) {}

  // Waits for all ops so far. Valid until the next call, and until an op writes there; the reader
  // may overwrite what no op reads again.
  std::span<std::byte> read(DeviceSpan from) {
    if (backend_.reads_host_memory()) return backend_.map_device(from);
    if (copy_.bytes() < from.bytes) copy_ = backend_.allocate_host(from.bytes);
    const std::span copied(static_cast<std::byte*>(copy_.data()), from.bytes);
    backend_.download(from, copied);
    return copied;
  }
  // The contents as numbers of the view's type.
  template <class T>
  std::span<T> read(const DeviceView& from) {
    CHECK_EQ(sizeof(T), dtype_bytes(from.dtype));
    return {reinterpret_cast<T*>(read(from.span()).data()), static_cast<size_t>(from.elements())};
  }

 private:
  Backend& backend_;
  HostBuffer copy_;
};

}  // namespace erne
