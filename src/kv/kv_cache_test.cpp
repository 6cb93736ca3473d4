#include "kv/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace erne::kv {
namespace {

using Tokens = std::vector<int32_t>;

Tokens count_from(int first, int count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<BlockId> blocks_of(const KvHold& hold) {
  return {hold.blocks().begin(), hold.blocks().end()};
}

// A cache of blocks of 4 tokens, with the steps a sequence takes through it.
class KvCacheTest : public testing::Test {
 protected:
  void make(int device_blocks, int host_blocks = 0, uint64_t key_mask = ~uint64_t{0}) {
    cache_.emplace(KvGeometry{device_blocks, host_blocks, 4, 1}, key_mask);
  }

  KvHold compute(const Tokens& tokens) {  // as a new sequence that publishes all it can
    KvHold hold;
    cache_->match(hold, tokens);
    EXPECT_TRUE(cache_->reserve(hold, static_cast<int>(tokens.size())));
    cache_->publish(hold, tokens);
    return hold;
  }
  void compute_and_leave(const Tokens& tokens) { compute(tokens); }

  int cached_tokens(const Tokens& tokens) {
    KvHold hold;
    return cache_->match(hold, tokens).tokens;
  }

  void check(std::vector<const KvHold*> holds) { cache_->check_invariants(holds); }

  std::vector<BlockCopy> copies() {
    std::vector<BlockCopy> copies{{99, 99}};
    cache_->take_copies(copies);
    return copies;
  }

  std::optional<KvCache> cache_;
};

TEST_F(KvCacheTest, CountsBlocksForTokens) {
  make(1);
  EXPECT_EQ(cache_->blocks_for(0), 0);
  EXPECT_EQ(cache_->blocks_for(1), 1);
  EXPECT_EQ(cache_->blocks_for(4), 1);
  EXPECT_EQ(cache_->blocks_for(5), 2);
}

TEST_F(KvCacheTest, ReserveGrowsToCoverTokensOrChangesNothing) {
  make(3);
  KvHold a, b;
  EXPECT_TRUE(cache_->reserve(a, 5));
  EXPECT_EQ(blocks_of(a), (std::vector<BlockId>{0, 1}));
  EXPECT_TRUE(cache_->reserve(a, 8));  // covered already
  EXPECT_EQ(a.blocks().size(), 2u);
  EXPECT_FALSE(cache_->reserve(b, 5));
  EXPECT_TRUE(b.blocks().empty());
  EXPECT_EQ(cache_->free_blocks(), 1);
  EXPECT_FALSE(cache_->reserve(b, 4, 1));  // would leave none
  EXPECT_TRUE(cache_->reserve(b, 4, 0));
  EXPECT_TRUE(cache_->reserve(a, 8, 0));
  check({&a, &b});
}

TEST_F(KvCacheTest, AHoldGivesItsBlocksBackWhenItDies) {
  make(4);
  KvHold outer;
  {
    KvHold inner;
    ASSERT_TRUE(cache_->reserve(inner, 16));
    EXPECT_EQ(cache_->free_blocks(), 0);
    outer = std::move(inner);
    EXPECT_EQ(outer.blocks().size(), 4u);
  }
  EXPECT_EQ(cache_->free_blocks(), 0);
  KvHold other(std::move(outer));
  EXPECT_TRUE(outer.blocks().empty());  // NOLINT: moved from means empty here
  KvHold small;
  other = std::move(small);
  EXPECT_EQ(cache_->free_blocks(), 4);
  check({});
}

TEST_F(KvCacheTest, AMovedHoldKeepsWhatItShares) {
  make(4);
  KvHold hold = compute(count_from(0, 8));
  KvHold moved(std::move(hold));
  EXPECT_EQ(moved.num_shared_blocks(), 2);
  EXPECT_EQ(hold.num_shared_blocks(), 0);  // NOLINT: moved from means empty here
  check({&moved});
  moved = {};
  EXPECT_EQ(cache_->reclaimable_blocks(), 2);
  check({});
}

TEST_F(KvCacheTest, MatchesTheLongestPrefixOfFullBlocks) {
  make(8);
  const Tokens tokens = count_from(0, 14);
  KvHold first = compute(tokens);
  EXPECT_EQ(first.num_shared_blocks(), 3);
  KvHold second;
  EXPECT_EQ(cache_->match(second, count_from(0, 11)).tokens, 8);  // 3 tokens are no block
  EXPECT_EQ(blocks_of(second), (std::vector<BlockId>{0, 1}));
  EXPECT_EQ(second.num_shared_blocks(), 2);
  EXPECT_EQ(cached_tokens(count_from(0, 12)), 12);
  EXPECT_EQ(cached_tokens(tokens), 12);
  EXPECT_EQ(cached_tokens(count_from(1, 12)), 0);
  Tokens forked = count_from(0, 12);
  forked[5] = 77;
  EXPECT_EQ(cached_tokens(forked), 4);
  check({&first, &second});
  first = {};
  EXPECT_EQ(cache_->reclaimable_blocks(), 1);  // second holds the other two
  EXPECT_EQ(cache_->free_blocks(), 5);
  check({&second});
}

TEST_F(KvCacheTest, PublishesOnlyFullBlocks) {
  make(4);
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 12));
  const Tokens tokens = count_from(0, 12);
  cache_->publish(hold, TokenSpan(tokens).first(7));
  EXPECT_EQ(hold.num_shared_blocks(), 1);
  EXPECT_EQ(cached_tokens(tokens), 4);
  cache_->publish(hold, TokenSpan(tokens).first(8));
  EXPECT_EQ(hold.num_shared_blocks(), 2);
  EXPECT_EQ(cached_tokens(tokens), 8);
  check({&hold});
}

TEST_F(KvCacheTest, AdoptsABlockThatAnotherPublishedMeanwhile) {
  make(4);
  const Tokens tokens = count_from(0, 8);
  KvHold a, b;
  ASSERT_TRUE(cache_->reserve(a, 8));
  ASSERT_TRUE(cache_->reserve(b, 8));
  cache_->publish(a, tokens);
  EXPECT_EQ(cache_->free_blocks(), 0);
  cache_->publish(b, TokenSpan(tokens).first(4));
  EXPECT_EQ(cache_->free_blocks(), 1);
  EXPECT_EQ(blocks_of(b), (std::vector<BlockId>{0, 3}));
  cache_->publish(b, tokens);
  EXPECT_EQ(blocks_of(b), blocks_of(a));
  EXPECT_EQ(cache_->free_blocks(), 2);
  check({&a, &b});
  a = {};
  check({&b});
}

TEST_F(KvCacheTest, ForgetsTheOldestLeafFirst) {
  make(4);
  compute_and_leave(count_from(0, 8));    // blocks 0, 1
  compute_and_leave(count_from(100, 8));  // blocks 2, 3
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 4));
  EXPECT_EQ(cached_tokens(count_from(0, 8)), 4);  // lost its leaf, and is the newest now
  EXPECT_EQ(cached_tokens(count_from(100, 8)), 8);
  EXPECT_EQ(cached_tokens(count_from(0, 8)), 4);
  ASSERT_TRUE(cache_->reserve(hold, 12));
  EXPECT_EQ(cached_tokens(count_from(100, 8)), 0);
  EXPECT_EQ(cached_tokens(count_from(0, 8)), 4);
  EXPECT_TRUE(copies().empty());  // no host tier
  check({&hold});
}

TEST_F(KvCacheTest, NeverTakesAReferencedBlock) {
  make(3);
  const Tokens tokens = count_from(0, 8);
  KvHold hold = compute(tokens);
  KvHold other;
  EXPECT_EQ(cache_->available_blocks(), 1);
  EXPECT_FALSE(cache_->reserve(other, 8));
  EXPECT_TRUE(cache_->reserve(other, 4));
  EXPECT_EQ(blocks_of(other), (std::vector<BlockId>{2}));
  check({&hold, &other});
}

TEST_F(KvCacheTest, ACollisionKeepsABlockPrivate) {
  make(4, 0, 0);
  const Tokens tokens = count_from(0, 8);
  KvHold a = compute(tokens);
  EXPECT_EQ(a.num_shared_blocks(), 1);  // the second block has the first one's key
  KvHold b = compute(count_from(50, 8));
  EXPECT_EQ(b.num_shared_blocks(), 0);
  EXPECT_EQ(cached_tokens(tokens), 4);
  check({&a, &b});
  a = {};
  EXPECT_EQ(cache_->free_blocks(), 1);
  EXPECT_EQ(cache_->reclaimable_blocks(), 1);
  check({&b});
}

TEST_F(KvCacheTest, DemotesToTheHostAndPromotesOnAMatch) {
  make(2, 2);
  compute_and_leave(count_from(0, 8));
  {
    KvHold hold;
    ASSERT_TRUE(cache_->reserve(hold, 8));
    EXPECT_EQ(copies(), (std::vector<BlockCopy>{{1, 2}, {0, 3}}));  // the leaf goes first
    EXPECT_EQ(cache_->host_cached_blocks(), 2);
    EXPECT_EQ(cached_tokens(count_from(0, 8)), 0);  // no device block to come back to
    check({&hold});
  }
  KvHold hold;
  const PrefixHit hit = cache_->match(hold, count_from(0, 8));
  EXPECT_EQ(hit.tokens, 8);
  EXPECT_EQ(hit.from_host, 8);
  EXPECT_EQ(cache_->host_cached_blocks(), 0);
  const std::vector<BlockId> blocks = blocks_of(hold);
  EXPECT_EQ(copies(), (std::vector<BlockCopy>{{3, blocks[0]}, {2, blocks[1]}}));
  EXPECT_TRUE(copies().empty());
  KvHold other;
  EXPECT_EQ(cache_->match(other, count_from(0, 8)).from_host, 0);
  check({&hold, &other});
}

TEST_F(KvCacheTest, PromotesAsFarAsThereIsRoom) {
  make(3, 3);
  compute_and_leave(count_from(0, 12));
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 12));
  hold = {};
  ASSERT_TRUE(cache_->reserve(hold, 4));
  EXPECT_EQ(cached_tokens(count_from(0, 12)), 8);
  check({&hold});
}

TEST_F(KvCacheTest, AFullHostForgetsItsOldest) {
  make(2, 1);
  compute_and_leave(count_from(0, 8));
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 8));
  EXPECT_EQ(copies(), (std::vector<BlockCopy>{{1, 2}, {0, 2}}));
  hold = {};
  EXPECT_EQ(cached_tokens(count_from(0, 8)), 4);
  check({});
}

TEST_F(KvCacheTest, PromotionDoesNotForgetWhatItPromotes) {
  make(1, 1);
  compute_and_leave(count_from(0, 4));
  compute_and_leave(count_from(100, 4));  // the first is on the host now
  EXPECT_EQ(copies(), (std::vector<BlockCopy>{{0, 1}}));
  // To come back it needs the only device block; the host's only block is its own until it is
  // there.
  EXPECT_EQ(cached_tokens(count_from(0, 4)), 4);
  EXPECT_EQ(copies(), (std::vector<BlockCopy>{{1, 0}}));
  EXPECT_EQ(cached_tokens(count_from(100, 4)), 0);
  EXPECT_EQ(cache_->host_cached_blocks(), 0);
  check({});
}

TEST_F(KvCacheTest, ABlockComputedAgainReplacesItsCopyOnTheHost) {
  make(2, 2);
  const Tokens tokens = count_from(0, 4);
  compute_and_leave(tokens);
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 8));  // demotes it
  cache_->publish(hold, tokens);          // and has computed the same
  EXPECT_EQ(cache_->host_cached_blocks(), 0);
  KvHold other;
  EXPECT_EQ(cache_->match(other, tokens).tokens, 4);
  EXPECT_EQ(other.blocks()[0], hold.blocks()[0]);
  check({&hold, &other});
}

TEST_F(KvCacheTest, InvariantsNoticeAMissingHold) {
  make(4);
  KvHold a = compute(count_from(0, 8));
  KvHold b;
  ASSERT_TRUE(cache_->reserve(b, 4));
  EXPECT_DEATH(check({&a}), "references");
  EXPECT_DEATH(check({&b}), "references");
  EXPECT_DEATH(check({&a, &b, &b}), "references");
  check({&a, &b});
}

TEST_F(KvCacheTest, RefusesWhatOnlyABugDoes) {
  make(4);
  const Tokens tokens = count_from(0, 8);
  KvHold hold;
  ASSERT_TRUE(cache_->reserve(hold, 4));
  EXPECT_DEATH(cache_->match(hold, tokens), "empty");
  EXPECT_DEATH(cache_->publish(hold, tokens), "written");
  EXPECT_DEATH(KvCache(KvGeometry{4, 0, 0, 1}), "block_tokens");
}

}  // namespace
}  // namespace erne::kv
