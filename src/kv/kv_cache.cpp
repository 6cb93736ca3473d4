#include "kv/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace erne::kv {

KvHold::KvHold(KvHold&& other) noexcept {
  *this = std::move(other);
}

KvHold& KvHold::operator=(KvHold&& other) noexcept {
  if (this == &other) return *this;
  if (cache_ != nullptr) cache_->release(*this);
  cache_ = std::exchange(other.cache_, nullptr);
  blocks_ = std::exchange(other.blocks_, {});
  nodes_ = std::exchange(other.nodes_, {});
  return *this;
}

KvHold::~KvHold() {
  if (cache_ != nullptr) cache_->release(*this);
}

KvCache::KvCache(const KvGeometry& geometry, uint64_t key_mask)
    : geometry_(geometry),
      device_(0, geometry.device_blocks),
      host_(geometry.device_blocks, geometry.host_blocks),
      tree_(geometry.block_tokens, key_mask) {
  CHECK_GE(geometry.block_tokens, 1);
}

int KvCache::blocks_for(int64_t tokens) const {
  return static_cast<int>((tokens + geometry_.block_tokens - 1) / geometry_.block_tokens);
}

PrefixHit KvCache::match(KvHold& hold, TokenSpan tokens) {
  CHECK(hold.blocks_.empty());
  const size_t block_tokens = geometry_.block_tokens;
  PrefixHit hit;
  NodeId last = kNoNode;
  for (; tokens.size() >= block_tokens; tokens = tokens.subspan(block_tokens)) {
    const NodeId id = tree_.find(last, tokens.first(block_tokens));
    if (id == kNoNode) break;
    if (!on_device(id)) {
      if (!promote(id)) break;
      hit.from_host += geometry_.block_tokens;
    }
    reference(id);
    hit.tokens += geometry_.block_tokens;
    hold.cache_ = this;
    hold.blocks_.push_back(tree_.block(id));
    hold.nodes_.push_back(id);
    last = id;
  }
  return hit;
}

bool KvCache::reserve(KvHold& hold, int tokens, int keep) {
  const int needed = blocks_for(tokens) - static_cast<int>(hold.blocks_.size());
  if (needed > available_blocks() - keep) return false;
  for (int i = 0; i < needed; ++i) {
    const BlockId block = take_device_block();
    device_.add_reference(block);
    hold.cache_ = this;
    hold.blocks_.push_back(block);
  }
  return true;
}

void KvCache::publish(KvHold& hold, TokenSpan written) {
  const size_t block_tokens = geometry_.block_tokens;
  CHECK_LE(written.size(), hold.blocks_.size() * block_tokens);
  const size_t full_blocks = written.size() / block_tokens;
  for (size_t i = hold.nodes_.size(); i < full_blocks; ++i) {
    const NodeId parent = i == 0 ? kNoNode : hold.nodes_.back();
    const NodeId id =
        share(parent, written.subspan(i * block_tokens, block_tokens), hold.blocks_[i]);
    if (id == kNoNode) return;  // its key is taken; later blocks would lack a parent
    hold.nodes_.push_back(id);
  }
}

// The node for a prefix that `block` holds privately. Of two blocks with the same content one is
// kept, on the device: the tree's if it is there, else `block`.
NodeId KvCache::share(NodeId parent, TokenSpan tokens, BlockId& block) {
  const NodeId id = tree_.find(parent, tokens);
  if (id == kNoNode) return tree_.insert(parent, tokens, block);
  if (on_device(id)) {
    reference(id);
    CHECK_EQ(device_.drop_reference(block), 0);
    device_.put_back(block);
    block = tree_.block(id);
  } else {
    host_unused_.remove(id);
    host_.put_back(tree_.block(id));
    tree_.set_block(id, block);
  }
  return id;
}

void KvCache::release(KvHold& hold) {
  for (size_t i = hold.blocks_.size(); i-- > 0;) {
    const BlockId block = hold.blocks_[i];
    if (device_.drop_reference(block) > 0) continue;
    if (i < hold.nodes_.size()) {
      device_unused_.append(hold.nodes_[i]);
    } else {
      device_.put_back(block);
    }
  }
  hold.cache_ = nullptr;
  hold.blocks_.clear();
  hold.nodes_.clear();
}

void KvCache::take_copies(std::vector<BlockCopy>& copies) {
  copies.clear();
  std::swap(copies, copies_);
}

void KvCache::reference(NodeId id) {
  const BlockId block = tree_.block(id);
  if (device_.references(block) == 0) device_unused_.remove(id);
  device_.add_reference(block);
}

BlockId KvCache::take_device_block() {
  if (device_.num_free() == 0) demote_oldest();
  return device_.take();
}

void KvCache::demote_oldest() {
  const NodeId id = device_unused_.oldest();
  const BlockId from = tree_.block(id);
  device_unused_.remove(id);
  if (host_.num_free() == 0 && host_unused_.size() > 0) forget_oldest_on_host();
  if (host_.num_free() > 0) {
    const BlockId to = host_.take();
    copies_.push_back({from, to});
    tree_.set_block(id, to);
    host_unused_.append(id);
  } else {
    tree_.remove(id);
  }
  device_.put_back(from);
}

void KvCache::forget_oldest_on_host() {
  const NodeId id = host_unused_.oldest();
  const BlockId block = tree_.block(id);
  host_unused_.remove(id);
  tree_.remove(id);
  host_.put_back(block);
}

bool KvCache::promote(NodeId id) {
  if (available_blocks() == 0) return false;
  host_unused_.remove(id);  // making room must not forget it
  const BlockId from = tree_.block(id);
  const BlockId to = take_device_block();
  copies_.push_back({from, to});
  host_.put_back(from);
  tree_.set_block(id, to);
  device_unused_.append(id);
  return true;
}

void KvCache::check_invariants(std::span<const KvHold* const> holds) const {
  device_.check_invariants();
  host_.check_invariants();
  check_holds(holds);
  check_tree();
  check_order(device_unused_);
  check_order(host_unused_);
}

// A block has as many references as holds list it; what nobody references is free or cached.
void KvCache::check_holds(std::span<const KvHold* const> holds) const {
  std::vector<int> references(geometry_.device_blocks, 0);
  int num_held = 0;
  for (const KvHold* hold : holds) {
    CHECK_LE(hold->nodes_.size(), hold->blocks_.size());
    for (size_t i = 0; i < hold->blocks_.size(); ++i) {
      const BlockId block = hold->blocks_[i];
      CHECK(device_.contains(block));
      if (references[block]++ == 0) ++num_held;
      if (i < hold->nodes_.size()) {
        CHECK_EQ(tree_.block(hold->nodes_[i]), block);
        CHECK_EQ(tree_.parent(hold->nodes_[i]), i == 0 ? kNoNode : hold->nodes_[i - 1]);
      } else {
        CHECK_EQ(device_.references(block), 1);  // writable: nobody else's
      }
    }
  }
  for (BlockId block = 0; block < geometry_.device_blocks; ++block) {
    const int counted = std::max(device_.references(block), 0);
    CHECK_EQ(references[block], counted);
  }
  CHECK_EQ(num_held + free_blocks() + reclaimable_blocks(), geometry_.device_blocks);
  CHECK_EQ(host_.num_free() + host_unused_.size(), geometry_.host_blocks);
}

void KvCache::check_tree() const {
  std::vector<bool> is_cached(geometry_.device_blocks + geometry_.host_blocks, false);
  for (NodeId id : tree_.ids()) {
    const BlockId block = tree_.block(id);
    CHECK(device_.contains(block) || host_.contains(block));
    CHECK(!is_cached[block]);
    is_cached[block] = true;
    const NodeId parent = tree_.parent(id);
    if (on_device(id)) {
      CHECK_EQ(device_unused_.contains(id), device_.references(block) == 0);
      CHECK(parent == kNoNode || on_device(parent));
      CHECK(parent == kNoNode || !device_unused_.contains(parent) || device_unused_.contains(id));
    } else {
      CHECK_EQ(host_.references(block), 0);
      CHECK(host_unused_.contains(id));
    }
  }
}

// Children before parents, so that the oldest is a leaf of its tier.
void KvCache::check_order(const RecencyList& unused) const {
  const std::vector<NodeId> ids = tree_.ids();
  std::vector<bool> seen(ids.empty() ? 0 : ids.back() + 1, false);
  int length = 0;
  for (NodeId id = unused.oldest(); id != kNoNode; id = unused.newer(id)) {
    ++length;
    const NodeId parent = tree_.parent(id);
    seen[id] = true;
    CHECK(parent == kNoNode || !seen[parent]);
  }
  CHECK_EQ(length, unused.size());
}

}  // namespace erne::kv
