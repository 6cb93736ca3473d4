#include "kv/block_pool.h"

#include <gtest/gtest.h>

namespace erne::kv {
namespace {

TEST(BlockPool, GivesTheLastFreedBlockFirst) {
  BlockPool pool(10, 3);
  EXPECT_EQ(pool.take(), 10);
  EXPECT_EQ(pool.take(), 11);
  EXPECT_EQ(pool.num_free(), 1);
  pool.put_back(10);
  EXPECT_EQ(pool.take(), 10);
  EXPECT_EQ(pool.take(), 12);
  EXPECT_EQ(pool.num_free(), 0);
  pool.check_invariants();
}

TEST(BlockPool, CountsReferences) {
  BlockPool pool(0, 2);
  const BlockId id = pool.take();
  EXPECT_EQ(pool.references(id), 0);
  pool.add_reference(id);
  pool.add_reference(id);
  EXPECT_EQ(pool.references(id), 2);
  EXPECT_EQ(pool.drop_reference(id), 1);
  EXPECT_EQ(pool.drop_reference(id), 0);
  pool.put_back(id);
  EXPECT_EQ(pool.references(id), BlockPool::kFree);
}

TEST(BlockPool, ContainsItsIdsOnly) {
  const BlockPool pool(4, 2);
  EXPECT_FALSE(pool.contains(3));
  EXPECT_TRUE(pool.contains(4));
  EXPECT_TRUE(pool.contains(5));
  EXPECT_FALSE(pool.contains(6));
}

TEST(BlockPoolDeathTest, RefusesWhatOnlyABugDoes) {
  BlockPool pool(0, 1);
  EXPECT_DEATH(pool.put_back(0), "CHECK|count");  // free already
  EXPECT_DEATH(pool.add_reference(0), "count");
  EXPECT_DEATH(pool.add_reference(1), "contains");
  EXPECT_DEATH(pool.references(-1), "contains");
  pool.take();
  EXPECT_DEATH(pool.take(), "empty");
  EXPECT_DEATH(pool.drop_reference(0), "count");
  pool.add_reference(0);
  EXPECT_DEATH(pool.put_back(0), "count");  // still referenced
}

}  // namespace
}  // namespace erne::kv
