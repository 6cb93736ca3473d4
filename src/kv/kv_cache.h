// The cache knows which KV block holds which tokens: which blocks are free, which are held by
// sequences, and which are kept for whoever comes with the same beginning of a prompt (a prefix).
// It does bookkeeping only; the memory itself is the executor's. A sequence's claim on blocks is a
// KvHold. One thread, the scheduler's, uses a cache and its holds. The rules are:
//
//   - Only full blocks whose every slot is written are shared (published), and they are never
//     written again. The block that a sequence writes to is its own.
//   - The shared blocks of a hold are a chain of the prefix tree from its root on. So a node that
//     has a reference has a parent that has one, too; and since releasing goes from the leaf to
//     the root, the unreferenced node that was used longest ago is always a leaf.
//   - A cached block that nobody references moves to the host tier when its device block is
//     needed, and back when it is matched. Without a host tier, or when that is full, the oldest
//     one is forgotten. What a reference reaches is on the device, so the part of the tree that is
//     on the device is closed under parents.
//
// Time is the order of calls: there is no clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/kv_geometry.h"
#include "kv/prefix_tree.h"
#include "kv/recency_list.h"

namespace erne::kv {

class KvCache;

// One sequence's claim on blocks, in order of position. Gives them back when it dies; the cache
// must outlive it.
class KvHold {
 public:
  KvHold() = default;
  KvHold(KvHold&& other) noexcept;
  KvHold& operator=(KvHold&& other) noexcept;
  ~KvHold();

  std::span<const BlockId> blocks() const { return blocks_; }
  int num_shared_blocks() const { return static_cast<int>(nodes_.size()); }  // the first so many

 private:
  friend class KvCache;
  KvCache* cache_ = nullptr;  // set while it holds blocks
  std::vector<BlockId> blocks_;
  std::vector<NodeId> nodes_;  // of the shared blocks
};

// Tokens whose blocks match() found, and how many of them came back from the host for it.
struct PrefixHit {
  int tokens = 0, from_host = 0;
};

class KvCache {
 public:
  explicit KvCache(const KvGeometry& geometry, uint64_t key_mask = ~uint64_t{0});
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // Takes the longest cached prefix of `tokens` made of full blocks into an empty hold. The caller
  // leaves out what it wants to compute itself (the last token at least: a fully cached prompt
  // still needs logits).
  PrefixHit match(KvHold& hold, TokenSpan tokens);
  // Grows the hold to cover positions [0, tokens) if that leaves `keep` blocks available; else
  // changes nothing and returns false.
  bool reserve(KvHold& hold, int tokens, int keep = 0);
  // `written`: the sequence's tokens whose KV is in the hold. Makes the full blocks among them
  // shareable. If another sequence published the same prefix meanwhile, the hold adopts that block
  // and frees its own: equal prefixes have equal KV, bit for bit, so the sequence cannot tell.
  void publish(KvHold& hold, TokenSpan written);
  void release(KvHold& hold);  // leaves it empty

  // Moves the copies due before the next forward into `copies`, replacing its content.
  void take_copies(std::vector<BlockCopy>& copies);

  const KvGeometry& geometry() const { return geometry_; }
  int blocks_for(int64_t tokens) const;
  int available_blocks() const { return free_blocks() + reclaimable_blocks(); }
  int free_blocks() const { return device_.num_free(); }            // hold nothing
  int reclaimable_blocks() const { return device_unused_.size(); }  // cached, nobody holds them
  int host_cached_blocks() const { return host_unused_.size(); }

  // Aborts unless every block of both tiers is accounted for exactly once and the rules above hold.
  // `holds`: all non-empty ones.
  void check_invariants(std::span<const KvHold* const> holds) const;

 private:
  BlockId take_device_block();  // free, or the oldest unreferenced cached one's
  void demote_oldest();
  void forget_oldest_on_host();
  void reference(NodeId id);  // of a node on the device
  bool promote(NodeId id);    // host -> device; false: no device block
  NodeId share(NodeId parent, TokenSpan tokens, BlockId& block);
  bool on_device(NodeId id) const { return device_.contains(tree_.block(id)); }

  void check_holds(std::span<const KvHold* const> holds) const;
  void check_tree() const;
  void check_order(const RecencyList& unused) const;

  KvGeometry geometry_;
  BlockPool device_, host_;
  PrefixTree tree_;
  RecencyList device_unused_, host_unused_;  // nodes without references
  std::vector<BlockCopy> copies_;
};

}  // namespace erne::kv
