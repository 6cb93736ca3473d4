#include "kv/recency_list.h"

#include "base/check.h"

namespace erne::kv {

bool RecencyList::contains(NodeId id) const {
  return id >= 0 && id < static_cast<NodeId>(links_.size()) && links_[id].linked;
}

void RecencyList::append(NodeId id) {
  CHECK(id >= 0 && !contains(id));
  if (id >= static_cast<NodeId>(links_.size())) links_.resize(id + 1);
  links_[id] = {.older = tail_, .linked = true};
  (tail_ == kNoNode ? head_ : links_[tail_].newer) = id;
  tail_ = id;
  ++size_;
}

void RecencyList::remove(NodeId id) {
  CHECK(contains(id));
  const Link link = links_[id];
  (link.older == kNoNode ? head_ : links_[link.older].newer) = link.newer;
  (link.newer == kNoNode ? tail_ : links_[link.newer].older) = link.older;
  links_[id] = {};
  --size_;
}

}  // namespace erne::kv
