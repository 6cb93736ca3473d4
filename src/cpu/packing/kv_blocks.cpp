#include "cpu/packing/kv_blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cpu/arithmetic.h"
#include "cpu/machine/host_view.h"
#include "cpu/packing/panels.h"
#include "tensor/fp8.h"

namespace erne::cpu {
namespace {

// One row of a cache of 8-bit numbers: x * inverse is rounded, q * scale stands for x.
struct RowScale {
  float scale, inverse;
};

template <class T>
RowScale scale_of(const T* row, int size, float largest_number) {
  // Without their signs, the larger number has the larger bits, and NaN the largest.
  uint32_t largest = 0;
  for (int i = 0; i < size; ++i)
    largest = std::max(largest, std::bit_cast<uint32_t>(to_float(row[i])) & 0x7FFFFFFF);
  const auto amax = std::bit_cast<float>(largest);
  const float inverse = largest_number / amax;
  if (std::isinf(inverse)) return {0, 0};
  return {amax / largest_number, inverse};
}

// How one row of a token is stored: constructed once per row, it stores the row's scale if the
// cache has such.
template <class Kv>
struct RowEncoder {
  template <class T>
  RowEncoder(const T*, int, float*) {}
  Kv operator()(float v) const {
    if constexpr (std::is_same_v<Kv, Bf16>) {
      return to_bf16(v);
    } else {
      return v;
    }
  }
  Kv operator()(Bf16 v) const {
    if constexpr (std::is_same_v<Kv, Bf16>) {
      return v;
    } else {
      return to_float(v);
    }
  }
};
template <>
struct RowEncoder<int8_t> {
  template <class T>
  RowEncoder(const T* row, int size, float* scale) {
    const RowScale found = scale_of(row, size, 127.0f);
    *scale = found.scale;
    inverse = found.inverse;
  }
  template <class T>
  int8_t operator()(T v) const {
    return static_cast<int8_t>(std::bit_cast<uint32_t>(to_float(v) * inverse + kRoundToInt));
  }
  float inverse;
};

template <>
struct RowEncoder<Fp8> {
  template <class T>
  RowEncoder(const T* row, int size, float* scale) {
    const RowScale found = scale_of(row, size, kFp8Largest);
    *scale = found.scale;
    inverse = found.inverse;
  }
  template <class T>
  Fp8 operator()(T v) const {
    return to_fp8(to_float(v) * inverse);
  }
  float inverse;
};

// For a cache whose components have scales: x * (limit / largest) is rounded to bfloat16, as
// FastDeploy does, cut off and rounded to `Kv`.
template <class Kv>
Kv fixed_number(float v, float largest) {
  constexpr float kLimit = largest_kv_number(std::is_same_v<Kv, Fp8> ? DType::kFp8 : DType::kI8);
  const float inverse = kLimit / largest;
  const float scaled = std::isinf(inverse) ? 0 : to_float(to_bf16(v * inverse));
  const float cut = std::clamp(scaled, -kLimit, kLimit);
  if constexpr (std::is_same_v<Kv, Fp8>)
    return to_fp8(cut);
  else
    return static_cast<int8_t>(std::bit_cast<uint32_t>(cut + kRoundToInt));
}

// One head's K or V of a token; put(d, number) stores one. Returns the token's own scale: what is
// no number must not become one.
template <class Kv, class T, class Put>
float write_fixed_row(const T* row, const float* largest, int head_dim, const Put& put) {
  float scale = 1;
  for (int d = 0; d < head_dim; ++d) {
    const float v = to_float(row[d]);
    scale = std::fma(v, 0.0f, scale);
    put(d, fixed_number<Kv>(v, largest[d]));
  }
  return scale;
}

template <class Kv, class T>
void write_fixed_token(const KvLayerView& kv, int32_t slot, const T* k, const T* v) {
  const int32_t block = slot / kv.block_tokens;
  const int token = slot % kv.block_tokens, dim = kv.head_dim;
  for (int head = 0; head < kv.kv_heads; ++head, k += dim, v += dim) {
    Kv* keys = key_panel<Kv>(kv, block, head, token);
    kv_scales(kv, block, false, head)[token] = write_fixed_row<Kv>(
        k, DeviceAccess::pointer<const float>(kv.key_largest) + head * dim, dim,
        [&](int d, Kv number) { keys[panel_offset<Kv>(d, token % kPanel)] = number; });
    kv_scales(kv, block, true, head)[token] = write_fixed_row<Kv>(
        v, DeviceAccess::pointer<const float>(kv.value_largest) + head * dim, dim,
        [&](int d, Kv number) {
          value_panel<Kv>(kv, block, head, d)[panel_offset<Kv>(token, d % kPanel)] = number;
        });
  }
}

template <class Kv, class T>
void write_token(const KvLayerView& kv, int32_t slot, const T* k, const T* v) {
  if constexpr (sizeof(Kv) == 1)
    if (kv.key_largest) return write_fixed_token<Kv>(kv, slot, k, v);
  const int32_t block = slot / kv.block_tokens;
  const int token = slot % kv.block_tokens;
  for (int head = 0; head < kv.kv_heads; ++head, k += kv.head_dim, v += kv.head_dim) {
    Kv* keys = key_panel<Kv>(kv, block, head, token);
    const RowEncoder<Kv> key(k, kv.head_dim, kv_scales(kv, block, false, head) + token);
    for (int d = 0; d < kv.head_dim; ++d) keys[panel_offset<Kv>(d, token % kPanel)] = key(k[d]);
    const RowEncoder<Kv> value(v, kv.head_dim, kv_scales(kv, block, true, head) + token);
    for (int d = 0; d < kv.head_dim; ++d)
      value_panel<Kv>(kv, block, head, d)[panel_offset<Kv>(token, d % kPanel)] = value(v[d]);
  }
}

template <class Kv, class T>
void write_rows(const KvWriteArgs& args, ThreadPool& pool) {
  const int64_t width = args.qkv.shape[1];
  const int64_t kv_width = int64_t{args.kv.kv_heads} * args.kv.head_dim;
  const auto* qkv = DeviceAccess::pointer<const T>(args.qkv.data);
  const auto slots = host_span<int32_t>(args.slots.values);
  pool.parallel_for(std::ssize(slots), [&](int64_t t, int) {
    if (slots[t] < 0) return;
    const T* k = qkv + (t + 1) * width - 2 * kv_width;
    write_token<Kv>(args.kv, slots[t], k, k + kv_width);
  });
}

template <class Kv>
void write_typed(const KvWriteArgs& args, ThreadPool& pool) {
  args.qkv.dtype == DType::kBf16 ? write_rows<Kv, Bf16>(args, pool)
                                 : write_rows<Kv, float>(args, pool);
}

}  // namespace

void write_kv(const KvWriteArgs& args, ThreadPool& pool) {
  if (args.kv.dtype == DType::kI8)
    write_typed<int8_t>(args, pool);
  else if (args.kv.dtype == DType::kFp8)
    write_typed<Fp8>(args, pool);
  else if (args.kv.dtype == DType::kBf16)
    write_typed<Bf16>(args, pool);
  else
    write_typed<float>(args, pool);
}

}  // namespace erne::cpu
