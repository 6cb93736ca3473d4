#include "model/kv_layers.h"

namespace erne::model {
namespace {

KvLayerView layer_of(const ErnieConfig& config, DType dtype, int block_tokens) {
  return {.dtype = dtype,
          .block_tokens = block_tokens,
          .kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim};
}

}  // namespace

size_t kv_block_bytes(const ErnieConfig& config, DType dtype, int block_tokens) {
  return config.num_layers * kv_layer_block_bytes(layer_of(config, dtype, block_tokens));
}

KvLayers::KvLayers(Backend& backend, const ErnieConfig& config, DType dtype, int num_blocks,
                   int block_tokens) {
  const size_t block_bytes = kv_block_bytes(config, dtype, block_tokens);
  memory_ = backend.allocate(num_blocks * block_bytes);
  DevicePointer at = memory_.data();
  KvLayerView view = layer_of(config, dtype, block_tokens);
  view.block_stride_bytes = static_cast<int64_t>(block_bytes);
  view.num_blocks = num_blocks;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    view.data = at;
    views_.push_back(view);
    at = at + kv_layer_block_bytes(view);
  }
}

}  // namespace erne::model
