// A tensor between sentinels, NaN until something is written: what an op leaves out or writes
// beside its output shows. It has memory of a back end's own for ops and memory of the host's for
// tests; whichever was written last is copied to the other when that is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "reference/reference_ops.h"
#include "tensor/tensor_view.h"

namespace erne::parity {

class GuardedTensor {
 public:
  GuardedTensor(DType dtype, Shape shape);
  GuardedTensor(GuardedTensor&&) = default;  // a copy's memory would be aligned differently

  // For one op: what it writes shows on the host afterwards. The back end must outlive the tensor.
  DeviceView on(Backend& backend) const;
  // On the host, to read or to write before the next on().
  TensorView view() const;
  double at(int64_t i) const;
  void set(int64_t i, double value);  // rounded to the tensor's type
  bool guards_intact() const;
  std::span<const std::byte> bytes() const;
  // As the reference wants it: rank 2, or rank 1 as one row.
  reference::Matrix matrix() const;

 private:
  std::byte* data() const;
  // The host's memory, sentinels included.
  std::span<std::byte> guarded() const;
  void fetch() const;

  DType dtype_;
  Shape shape_;
  size_t size_;
  mutable std::vector<std::byte> memory_;
  mutable Backend* backend_ = nullptr;
  mutable DeviceBuffer device_;
  mutable bool host_is_newer_ = true, device_is_newer_ = false;
};

// Values spread evenly around 0, of standard deviation `scale`: a function of (seed, index) alone,
// rounded to the type.
GuardedTensor random_tensor(DType dtype, Shape shape, uint64_t seed, double scale = 1);

// Rounding to a type: |rounded - exact| <= unit_roundoff(type) * |exact|.
double unit_roundoff(DType dtype);

// Every element of `got` lies within `bound` of `expected`; prints the worst one of its excess.
void expect_within(const GuardedTensor& got, const reference::Matrix& expected,
                   const reference::Matrix& bound);

}  // namespace erne::parity
