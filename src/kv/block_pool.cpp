#include "kv/block_pool.h"

#include "base/check.h"

namespace erne::kv {

BlockPool::BlockPool(BlockId first, int count) : first_(first), references_(count, kFree) {
  free_.reserve(count);
  for (int i = count - 1; i >= 0; --i) free_.push_back(first + i);
}

int& BlockPool::count_of_used(BlockId id) {
  CHECK(contains(id));
  int& count = references_[id - first_];
  CHECK_NE(count, kFree);
  return count;
}

int BlockPool::references(BlockId id) const {
  CHECK(contains(id));
  return references_[id - first_];
}

BlockId BlockPool::take() {
  CHECK(!free_.empty());
  const BlockId id = free_.back();
  free_.pop_back();
  references_[id - first_] = 0;
  return id;
}

void BlockPool::put_back(BlockId id) {
  CHECK_EQ(count_of_used(id), 0);
  references_[id - first_] = kFree;
  free_.push_back(id);
}

void BlockPool::add_reference(BlockId id) {
  ++count_of_used(id);
}

int BlockPool::drop_reference(BlockId id) {
  CHECK_GT(count_of_used(id), 0);
  return --count_of_used(id);
}

void BlockPool::check_invariants() const {
  std::vector<bool> listed(references_.size(), false);
  for (BlockId id : free_) {
    CHECK_EQ(references(id), kFree);
    CHECK(!listed[id - first_]);
    listed[id - first_] = true;
  }
  for (size_t i = 0; i < references_.size(); ++i) CHECK_EQ(references_[i] == kFree, listed[i]);
}

}  // namespace erne::kv
