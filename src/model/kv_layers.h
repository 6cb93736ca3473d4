// The KV memory of all layers, of both tiers: the device's, and the host's, where blocks wait that
// no sequence reads now. A block's layers lie together, so that a block is one piece to copy or to
// send: [block][layer], and inside as backend/kv_view.h says. Lives on the engine's thread.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/kv_view.h"
#include "kv/kv_geometry.h"
#include "model/ernie_config.h"

namespace erne::model {

// All layers of one block.
size_t kv_block_bytes(const ErnieConfig& config, DType dtype, int block_tokens);

class KvLayers {
 public:
  // `geometry` says all but block_bytes.
  KvLayers(Backend& backend, const ErnieConfig& config, DType dtype, kv::KvGeometry geometry);

  const kv::KvGeometry& geometry() const { return geometry_; }
  std::span<const KvLayerView> views() const { return views_; }  // one per layer: device blocks
  // From tier to tier, one after the other, in their turn among the back end's ops.
  void copy_blocks(std::span<const kv::BlockCopy> copies);

 private:
  DeviceSpan device_block(kv::BlockId id) const;
  std::span<std::byte> host_block(kv::BlockId id) const;

  Backend& backend_;
  kv::KvGeometry geometry_;
  DeviceBuffer device_;
  HostBuffer host_;
  std::vector<KvLayerView> views_;
};

}  // namespace erne::model
