// Nodes of the prefix tree in order of last use: a doubly linked list over node ids, every
// operation in constant time.
#pragma once

#include <vector>

#include "kv/prefix_tree.h"

namespace erne::kv {

class RecencyList {
 public:
  void append(NodeId id);  // as the most recently used; CHECKs that it is not in the list
  void remove(NodeId id);  // CHECKs that it is
  NodeId oldest() const { return head_; }  // kNoNode if empty
  NodeId newer(NodeId id) const { return links_[id].newer; }
  int size() const { return size_; }
  bool contains(NodeId id) const;

 private:
  struct Link {
    NodeId older = kNoNode, newer = kNoNode;
    bool linked = false;
  };

  std::vector<Link> links_;
  NodeId head_ = kNoNode, tail_ = kNoNode;
  int size_ = 0;
};

}  // namespace erne::kv
