#include "kv/prefix_tree.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"

namespace erne::kv {

PrefixTree::PrefixTree(int block_tokens, uint64_t key_mask)
    : block_tokens_(block_tokens), key_mask_(key_mask) {}

const PrefixTree::Node& PrefixTree::node(NodeId id) const {
  CHECK(id >= 0 && id < static_cast<NodeId>(nodes_.size()));
  CHECK_GE(nodes_[id].block, 0);
  return nodes_[id];
}

uint64_t PrefixTree::key_of(NodeId parent, TokenSpan tokens) const {
  CHECK_EQ(static_cast<int>(tokens.size()), block_tokens_);
  const uint64_t parent_key = parent == kNoNode ? 0 : node(parent).key;
  return hash_bytes(tokens.data(), tokens.size_bytes(), parent_key) & key_mask_;
}

TokenSpan PrefixTree::tokens_of(NodeId id) const {
  return TokenSpan(tokens_).subspan(static_cast<size_t>(id) * block_tokens_, block_tokens_);
}

NodeId PrefixTree::find(NodeId parent, TokenSpan tokens) const {
  const auto it = by_key_.find(key_of(parent, tokens));
  if (it == by_key_.end()) return kNoNode;
  const NodeId id = it->second;
  const bool same = node(id).parent == parent && std::ranges::equal(tokens_of(id), tokens);
  return same ? id : kNoNode;
}

NodeId PrefixTree::new_id() {
  if (free_ids_.empty()) {
    nodes_.emplace_back();
    tokens_.resize(tokens_.size() + block_tokens_);
    return static_cast<NodeId>(nodes_.size()) - 1;
  }
  const NodeId id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

NodeId PrefixTree::insert(NodeId parent, TokenSpan tokens, BlockId block) {
  CHECK_GE(block, 0);
  const uint64_t key = key_of(parent, tokens);
  const auto [it, fresh] = by_key_.try_emplace(key, kNoNode);
  if (!fresh) return kNoNode;
  const NodeId id = new_id();
  it->second = id;
  nodes_[id] = {.key = key, .parent = parent, .block = block};
  std::ranges::copy(tokens, tokens_.begin() + static_cast<size_t>(id) * block_tokens_);
  if (parent != kNoNode) ++nodes_[parent].children;
  return id;
}

void PrefixTree::remove(NodeId leaf) {
  CHECK_EQ(node(leaf).children, 0);
  by_key_.erase(node(leaf).key);
  if (const NodeId parent = node(leaf).parent; parent != kNoNode) --nodes_[parent].children;
  nodes_[leaf] = {};
  free_ids_.push_back(leaf);
}

std::vector<NodeId> PrefixTree::ids() const {
  std::vector<NodeId> ids;
  for (NodeId id = 0; id < static_cast<NodeId>(nodes_.size()); ++id) {
    if (nodes_[id].block >= 0) ids.push_back(id);
  }
  return ids;
}

}  // namespace erne::kv
