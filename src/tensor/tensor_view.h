// tensor: what a block of numbers looks like. DType and Shape describe it wherever it lies;
// TensorView is host memory that someone else owns (a mapped checkpoint, a buffer), and
// backend/device_memory.h has the like for a device's. WeightFormat and formats/ say what a
// weight's bytes mean.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>

#include "base/check.h"

namespace erne {

enum class DType : uint8_t { kF32, kBf16, kI32, kI64, kI8, kU8, kFp8 };
const char* dtype_name(DType dtype);  // "float32", "bfloat16", ...
size_t dtype_bytes(DType dtype);

// bfloat16 is the upper half of a float32; rounding is to nearest, ties to even.
struct Bf16 {
  uint16_t bits;
};
constexpr float to_float(Bf16 v) {
  return std::bit_cast<float>(uint32_t{v.bits} << 16);
}
constexpr float to_float(float v) {
  return v;
}
constexpr Bf16 to_bf16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  if ((u & 0x7FFFFFFF) > 0x7F800000) return {static_cast<uint16_t>((u >> 16) | 0x40)};  // quiet NaN
  return {static_cast<uint16_t>((u + 0x7FFF + ((u >> 16) & 1)) >> 16)};
}
// Rounds to T, which is float or Bf16.
template <class T>
constexpr T from_float(float v) {
  if constexpr (sizeof(T) == sizeof(Bf16)) {
    return to_bf16(v);
  } else {
    return v;
  }
}

class Shape {  // at most 4 dimensions, outermost first
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    CHECK_LE(dims.size(), size_t{4});
    for (int64_t d : dims) dims_[rank_++] = d;
  }
  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i]; }
  int64_t elements() const;
  void append(int64_t dim) {
    CHECK_LT(rank_, 4);
    dims_[rank_++] = dim;
  }
  bool operator==(const Shape&) const = default;
  std::string str() const;  // "[2, 64]"

 private:
  std::array<int64_t, 4> dims_ = {};
  int rank_ = 0;
};

struct TensorView {  // of host memory; no ownership; row-major; contiguous
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t elements() const { return shape.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * dtype_bytes(dtype); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace erne
