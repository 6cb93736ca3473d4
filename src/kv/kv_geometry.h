// kv: which block of KV memory holds which tokens. Bookkeeping only: block ids, reference counts,
// the prefix tree; no memory, no tensor, no lock, no clock (recency is the order of calls). Owned
// by the engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace erne::kv {

using BlockId = int32_t;

struct KvGeometry {
  int device_blocks = 0;
  int host_blocks = 0;  // a second tier to demote to; 0: none
  int block_tokens = 64;
  size_t block_bytes = 0;  // all layers of one block; opaque here
};

// Copy one block's memory, all layers, from one tier to the other. A plan's copies are done one
// after the other, in their order, before its forward: a later one may read or overwrite what an
// earlier one wrote. Block ids below KvGeometry::device_blocks are the device's; the host's follow.
struct BlockCopy {
  BlockId from, to;
  bool operator==(const BlockCopy&) const = default;
};

}  // namespace erne::kv
