// The KV memory of all layers. A block's layers lie together, so that a block is one piece to copy
// or to send: [block][layer], and inside as backend/kv_view.h says.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/kv_view.h"
#include "model/ernie_config.h"

namespace erne::model {

// All layers of one block.
size_t kv_block_bytes(const ErnieConfig& config, DType dtype, int block_tokens);

class KvLayers {
 public:
  KvLayers(Backend& backend, const ErnieConfig& config, DType dtype, int num_blocks,
           int block_tokens);
  std::span<const KvLayerView> views() const { return views_; }  // one per layer

 private:
  DeviceBuffer memory_;
  std::vector<KvLayerView> views_;
};

}  // namespace erne::model
