// Which prefixes have their KV in some block. One node per full block of tokens; a node's key is a
// hash chained over its parent's key and its own tokens, and a hit compares parent and tokens, so a
// hash collision costs a hit and never gives a wrong one.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/token_id.h"
#include "kv/kv_geometry.h"

namespace erne::kv {

using TokenSpan = std::span<const TokenId>;
using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;  // as a parent: the empty prefix

class PrefixTree {
 public:
  // `key_mask` narrows the keys: tests use it to make collisions happen.
  PrefixTree(int block_tokens, uint64_t key_mask);

  // The child of `parent` with exactly these tokens, or kNoNode.
  NodeId find(NodeId parent, TokenSpan tokens) const;
  // A new node for a prefix that find() does not know. kNoNode if another prefix has its key.
  NodeId insert(NodeId parent, TokenSpan tokens, BlockId block);
  void remove(NodeId leaf);  // CHECKs that it has no children

  BlockId block(NodeId id) const { return node(id).block; }
  void set_block(NodeId id, BlockId block) { nodes_[id].block = block; }
  NodeId parent(NodeId id) const { return node(id).parent; }
  int num_children(NodeId id) const { return node(id).children; }
  int size() const { return static_cast<int>(by_key_.size()); }
  std::vector<NodeId> ids() const;  // of all nodes, ascending; for checks

 private:
  struct Node {
    uint64_t key = 0;
    NodeId parent = kNoNode;
    BlockId block = -1;  // -1: this id is not in use
    int children = 0;
  };

  const Node& node(NodeId id) const;
  uint64_t key_of(NodeId parent, TokenSpan tokens) const;
  TokenSpan tokens_of(NodeId id) const;
  NodeId new_id();

  int block_tokens_;
  uint64_t key_mask_;
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;  // block_tokens_ per node
  std::vector<NodeId> free_ids_;
  // Looked up, never iterated: its order decides nothing.
  std::unordered_map<uint64_t, NodeId> by_key_;
};

}  // namespace erne::kv
