// One layer's paged KV memory: per block [2 (K, V)][kv_heads][one head's bytes]. A head of a block
// is block_tokens x head_dim elements and, if they have 8 bits, a float32 scale for each token
// behind them: an element stands for its number times the scale of its token, head and K or V. The
// order of the elements is the back end's own: only its kv_write and attention know it.
// BackendLimits says what block_tokens and head_dim must be multiples of.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "backend/device_pointer.h"
#include "tensor/fp8.h"
#include "tensor/tensor_view.h"

namespace erne {

struct KvLayerView {
  DevicePointer data = {};  // block b of this layer starts at data + b * block_stride_bytes
  int64_t block_stride_bytes = 0;
  DType dtype = DType::kF32;  // or bfloat16, int8, fp8
  int num_blocks = 0;
  int block_tokens = 64;
  int kv_heads = 0, head_dim = 0;
  // 8 bits: sizes of the largest K and V of each component, [kv_heads * head_dim] float32, if the
  // checkpoint says them: then components have scales, which are the same for all tokens, and
  // tokens have none.
  DevicePointer key_largest = {}, value_largest = {};
};

// The largest number of an 8-bit type of KV: a scale is the largest value / this.
constexpr float largest_kv_number(DType type) {
  return type == DType::kI8 ? 127.0f : kFp8Largest;
}

// K or V of one token and kv head, its scale included.
inline int64_t kv_row_bytes(const KvLayerView& kv) {
  const int64_t scale = dtype_bytes(kv.dtype) == 1 ? sizeof(float) : 0;
  return kv.head_dim * static_cast<int64_t>(dtype_bytes(kv.dtype)) + scale;
}
inline int64_t kv_head_bytes(const KvLayerView& kv) {
  return kv.block_tokens * kv_row_bytes(kv);
}
inline int64_t kv_token_bytes(const KvLayerView& kv) {
  return int64_t{2} * kv.kv_heads * kv_row_bytes(kv);
}
inline int64_t kv_layer_block_bytes(const KvLayerView& kv) {
  return kv.block_tokens * kv_token_bytes(kv);
}

// The types a KV cache may have, by the names users give; "auto" is the activations' own.
inline constexpr char kKvDtypeChoices[] = "auto bfloat16 float32 int8 fp8";
std::optional<DType> find_kv_dtype(std::string_view name, DType activation);

}  // namespace erne
