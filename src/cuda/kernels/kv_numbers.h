// The numbers of KV memory and where a layer has them, for kernels that write or read it.
#pragma once

#include "base/check.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/language/device_code.h"
#include "cuda/packing/kv_blocks.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

inline constexpr float kInfinity = __builtin_huge_valf();

// body.operator()<Kv>(), Kv the type of the numbers: float, Bf16, int8_t or Fp8.
template <class Body>
void with_kv(DType dtype, const Body& body) {
  if (dtype == DType::kF32) {
    body.template operator()<float>();
  } else if (dtype == DType::kBf16) {
    body.template operator()<Bf16>();
  } else if (dtype == DType::kI8) {
    body.template operator()<int8_t>();
  } else {
    CHECK(dtype == DType::kFp8);
    body.template operator()<Fp8>();
  }
}

template <class Kv>
constexpr float kLargestKv = std::is_same_v<Kv, Fp8> ? kFp8Largest : 127.0f;

template <class Kv>
ON_DEVICE float kv_to_float(Kv v) {
  if constexpr (std::is_same_v<Kv, int8_t>) {
    return static_cast<float>(v);
  } else {
    return to_float(v);
  }
}

// A layer's KV memory.
struct KvMemory {
  KvPlaces places;
  Global<std::byte> data;
  Global<float> key_largest, value_largest;  // as in KvLayerView

  explicit KvMemory(const KvLayerView& kv)
      : places(kv),
        data(DeviceAccess::pointer(kv.data)),
        key_largest(DeviceAccess::pointer(kv.key_largest)),
        value_largest(DeviceAccess::pointer(kv.value_largest)) {}

  ON_DEVICE Global<std::byte> head(int block, bool of_values, int head) const {
    return data + places.head_at(block, of_values, head);
  }
  // [block_tokens] behind the numbers of a head, where those have 8 bits.
  ON_DEVICE Global<float> scales(Global<std::byte> head) const {
    return (head + places.scales_at()).template as<float>();
  }
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
