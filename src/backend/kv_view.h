// One layer's paged KV memory: per block [2 (K, V)][kv_heads][block_tokens x head_dim]. The order
// of the elements of one head of a block is the back end's own (CPU: cpu/panels.h): only kv_write,
// attention and copy_blocks of that back end read them. It may ask that block_tokens and head_dim
// be multiples of 16, and the CPU does.
#pragma once

#include <cstdint>

#include "tensor/tensor_view.h"

namespace erne {

struct KvLayerView {
  void* data = nullptr;  // block b of this layer starts at data + b * block_stride_bytes
  int64_t block_stride_bytes = 0;
  DType dtype = DType::kF32;
  int num_blocks = 0;
  int block_tokens = 64;
  int kv_heads = 0, head_dim = 0;
};

inline int64_t kv_layer_block_bytes(const KvLayerView& kv) {
  return int64_t{2} * kv.kv_heads * kv.block_tokens * kv.head_dim *
         static_cast<int64_t>(dtype_bytes(kv.dtype));
}

}  // namespace erne
