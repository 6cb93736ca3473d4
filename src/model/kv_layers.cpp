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

KvLayers::KvLayers(Backend& backend, const ErnieConfig& config, DType dtype,
                   kv::KvGeometry geometry)
    : backend_(backend), geometry_(geometry) {
  geometry_.block_bytes = kv_block_bytes(config, dtype, geometry.block_tokens);
  device_ = backend.allocate(geometry.device_blocks * geometry_.block_bytes);
  if (geometry.host_blocks > 0)
    host_ = backend.allocate_host(geometry.host_blocks * geometry_.block_bytes);
  DevicePointer at = device_.data();
  KvLayerView view = layer_of(config, dtype, geometry.block_tokens);
  view.block_stride_bytes = static_cast<int64_t>(geometry_.block_bytes);
  view.num_blocks = geometry.device_blocks;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    view.data = at;
    views_.push_back(view);
    at = at + kv_layer_block_bytes(view);
  }
}

void KvLayers::copy_blocks(std::span<const kv::BlockCopy> copies) {
  for (const kv::BlockCopy& copy : copies) {
    if (copy.from < geometry_.device_blocks)
      backend_.copy_out(device_block(copy.from), host_block(copy.to));
    else
      backend_.copy_in(host_block(copy.from), device_block(copy.to));
  }
}

DeviceSpan KvLayers::device_block(kv::BlockId id) const {
  CHECK(id >= 0 && id < geometry_.device_blocks);
  return {device_.data() + id * static_cast<int64_t>(geometry_.block_bytes), geometry_.block_bytes};
}

std::span<std::byte> KvLayers::host_block(kv::BlockId id) const {
  const int index = id - geometry_.device_blocks;
  CHECK(index >= 0 && index < geometry_.host_blocks);
  return {static_cast<std::byte*>(host_.data()) + index * geometry_.block_bytes,
          geometry_.block_bytes};
}

}  // namespace erne::model
