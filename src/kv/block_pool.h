// The blocks of one tier: who is free, and how often each of the others is referenced.
#pragma once

#include <vector>

#include "kv/kv_geometry.h"

namespace erne::kv {

// A block is free, or in use with so many references: one per hold that has it. In use with none
// means that only the prefix tree knows its content (KvCache's business; the pool counts).
class BlockPool {
 public:
  BlockPool(BlockId first, int count);

  BlockId take();             // a free block, CHECKed; the last one freed first
  void put_back(BlockId id);  // CHECKs that it is in use and has no references
  void add_reference(BlockId id);
  int drop_reference(BlockId id);  // returns how many are left

  int size() const { return static_cast<int>(references_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  bool contains(BlockId id) const { return id >= first_ && id < first_ + size(); }
  int references(BlockId id) const;  // kFree for a free block
  void check_invariants() const;

  static constexpr int kFree = -1;

 private:
  int& count_of_used(BlockId id);

  BlockId first_;
  std::vector<int> references_;  // kFree, or how many holds
  std::vector<BlockId> free_;
};

}  // namespace erne::kv
