// For tests: a back end of memory alone.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/null_backend.h"

namespace erne::weights {

// Packs plain weights by copying them, and counts what is allocated, on the host or not.
class MemoryBackend final : public NullBackend {
 public:
  const char* packed_order() const override { return "rows"; }
  DeviceBuffer allocate(size_t bytes) override { return DeviceBuffer(allocate_host(bytes)); }
  HostBuffer allocate_host(size_t bytes) override {
    live_bytes_ += bytes;
    peak_bytes = std::max(peak_bytes, live_bytes_);
    return {std::calloc(1, bytes), bytes, [this, bytes](void* data) {
              live_bytes_ -= bytes;
              std::free(data);
            }};
  }

  size_t live_bytes() const { return live_bytes_; }
  size_t peak_bytes = 0;

 private:
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    if (w.format->is_quantized()) return;
    std::memcpy(DeviceAccess::pointer(w.data.rows(first_row, rows.shape[0]).data), rows.data,
                rows.bytes());
  }

  size_t live_bytes_ = 0;
};

}  // namespace erne::weights
