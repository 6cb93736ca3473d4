// Rows of weights on their way to the device: through pinned memory, so that one run is copied
// while the next is read from a file.
#pragma once

#include <array>
#include <cstring>

#include "backend/device_memory.h"
#include "cuda/runtime/runtime.h"
#include "tensor/tensor_view.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

class RowUploads {
 public:
  explicit RowUploads(Runtime& runtime) : runtime_(runtime) {}
  ~RowUploads() { give_back(); }
  RowUploads(const RowUploads&) = delete;
  RowUploads& operator=(const RowUploads&) = delete;

  // The rows in the device's memory, for work that is asked for before the next but one call.
  // `rows` has been read when this returns.
  DeviceView upload(const TensorView& rows) {
    Place& place = next_place(rows.bytes());
    std::memcpy(place.pinned, rows.data, rows.bytes());
    runtime_.copy_in(place.pinned, place.device, rows.bytes());
    return {DeviceAccess::address(place.device), rows.dtype, rows.shape};
  }
  // Room for rows that are made on the device; likewise.
  DeviceView room(DType dtype, Shape shape) {
    DeviceView rows{{}, dtype, shape};
    rows.data = DeviceAccess::address(next_place(rows.bytes()).device);
    return rows;
  }

  // Waits for all work; what loading took is free again.
  void give_back() {
    runtime_.finish();
    for (Place& place : places_) free(place);
    next_ = 0;
  }

 private:
  struct Place {
    void* pinned = nullptr;
    void* device = nullptr;
    size_t bytes = 0;
  };

  Place& next_place(size_t bytes) {
    if (next_ == 0) runtime_.finish();  // both places are free again
    Place& place = places_[next_];
    next_ = (next_ + 1) % places_.size();
    if (place.bytes < bytes) grow(place, bytes);
    return place;
  }
  void grow(Place& place, size_t bytes) {
    free(place);
    place = {runtime_.allocate_host(bytes), runtime_.allocate(bytes), bytes};
  }
  void free(Place& place) {
    if (place.bytes == 0) return;
    runtime_.free_host(place.pinned);
    runtime_.free(place.device);
    place = {};
  }

  Runtime& runtime_;
  std::array<Place, 2> places_;
  size_t next_ = 0;
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
