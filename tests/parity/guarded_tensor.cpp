#include "parity/guarded_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/counter_rng.h"

namespace erne::parity {
namespace {

constexpr size_t kGuardBytes = 128;
constexpr std::byte kSentinel{0xA5};
constexpr size_t kAlign = 64;

}  // namespace

GuardedTensor::GuardedTensor(DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(shape),
      size_(static_cast<size_t>(shape.elements()) * dtype_bytes(dtype)),
      memory_(size_ + 2 * kGuardBytes + kAlign, kSentinel) {
  for (int64_t i = 0; i < shape_.elements(); ++i) set(i, std::numeric_limits<double>::quiet_NaN());
}

std::byte* GuardedTensor::data() const {
  const auto start = reinterpret_cast<uintptr_t>(memory_.data()) + kGuardBytes;
  return reinterpret_cast<std::byte*>((start + kAlign - 1) / kAlign * kAlign);
}

std::span<std::byte> GuardedTensor::guarded() const {
  return {data() - kGuardBytes, size_ + 2 * kGuardBytes};
}

void GuardedTensor::fetch() const {
  if (device_is_newer_) backend_->download(device_.span(), guarded());
  device_is_newer_ = false;
}

DeviceView GuardedTensor::on(Backend& backend) const {
  if (backend_ != &backend) {
    fetch();
    device_ = backend.allocate(guarded().size());
    backend_ = &backend;
    host_is_newer_ = true;
  }
  if (host_is_newer_) backend.upload(guarded(), device_.span());
  host_is_newer_ = false;
  device_is_newer_ = true;
  return {device_.data() + kGuardBytes, dtype_, shape_};
}

TensorView GuardedTensor::view() const {
  fetch();
  host_is_newer_ = true;
  return {data(), dtype_, shape_};
}

std::span<const std::byte> GuardedTensor::bytes() const {
  fetch();
  return {data(), size_};
}

double GuardedTensor::at(int64_t i) const {
  fetch();
  if (dtype_ == DType::kBf16) return to_float(reinterpret_cast<const Bf16*>(data())[i]);
  return reinterpret_cast<const float*>(data())[i];
}

void GuardedTensor::set(int64_t i, double value) {
  if (dtype_ == DType::kBf16)
    view().as<Bf16>()[i] = to_bf16(static_cast<float>(value));
  else
    view().as<float>()[i] = static_cast<float>(value);
}

bool GuardedTensor::guards_intact() const {
  fetch();
  const auto untouched = [](std::byte b) { return b == kSentinel; };
  return std::ranges::all_of(guarded().first(kGuardBytes), untouched) &&
         std::ranges::all_of(guarded().last(kGuardBytes), untouched);
}

reference::Matrix GuardedTensor::matrix() const {
  const bool one_row = shape_.rank() == 1;
  reference::Matrix m(one_row ? 1 : shape_[0], one_row ? shape_[0] : shape_[1]);
  for (int64_t i = 0; i < shape_.elements(); ++i) m.values[i] = at(i);
  return m;
}

GuardedTensor random_tensor(DType dtype, Shape shape, uint64_t seed, double scale) {
  GuardedTensor tensor(dtype, shape);
  const CounterRng rng(seed, 0);
  std::array<uint32_t, 4> words = {};
  for (int64_t i = 0; i < shape.elements(); ++i) {
    if (i % 4 == 0) words = rng.words(i / 4);
    const double uniform = (words[i % 4] + 0.5) * 0x1p-32;
    tensor.set(i, (2 * uniform - 1) * std::sqrt(3.0) * scale);
  }
  return tensor;
}

double unit_roundoff(DType dtype) {
  return dtype == DType::kBf16 ? 0x1p-8 : 0x1p-24;
}

void expect_within(const GuardedTensor& got, const reference::Matrix& expected,
                   const reference::Matrix& bound) {
  EXPECT_TRUE(got.guards_intact()) << "something was written beside the output";
  ASSERT_EQ(got.view().elements(), std::ssize(expected.values));
  ASSERT_EQ(bound.values.size(), expected.values.size());
  double worst = 0;
  int64_t where = -1;
  for (int64_t i = 0; i < std::ssize(expected.values); ++i) {
    const double error = std::abs(got.at(i) - expected.values[i]);
    const double share = error == 0 ? 0 : error / bound.values[i];
    if (share <= worst) continue;  // false for NaN
    worst = share, where = i;
    if (std::isnan(share)) break;
  }
  if (worst <= 1) return;
  ADD_FAILURE() << "worst element: row " << where / expected.cols << ", column "
                << where % expected.cols << ": got " << got.at(where) << ", expected "
                << expected.values[where] << ", bound " << bound.values[where] << " exceeded "
                << worst << " times over";
}

}  // namespace erne::parity
