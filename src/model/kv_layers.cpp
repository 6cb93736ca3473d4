#include "model/kv_layers.h"

namespace erne::model {
namespace {

size_t layer_bytes(const ErnieConfig& config, DType dtype, int block_tokens) {
  return size_t{2} * config.kv_width() * block_tokens * dtype_bytes(dtype);
}

}  // namespace

size_t kv_block_bytes(const ErnieConfig& config, DType dtype, int block_tokens) {
  return config.num_layers * layer_bytes(config, dtype, block_tokens);
}

KvLayers::KvLayers(Backend& backend, const ErnieConfig& config, DType dtype, int num_blocks,
                   int block_tokens) {
  const size_t block_bytes = kv_block_bytes(config, dtype, block_tokens);
  memory_ = backend.allocate(num_blocks * block_bytes, Space::kDevice);
  auto* at = static_cast<std::byte*>(memory_.data());
  for (int layer = 0; layer < config.num_layers; ++layer) {
    views_.push_back({at, static_cast<int64_t>(block_bytes), dtype, num_blocks, block_tokens,
                      config.num_kv_heads, config.head_dim});
    at += layer_bytes(config, dtype, block_tokens);
  }
}

}  // namespace erne::model
