#include "kv/prefix_tree.h"

#include <gtest/gtest.h>

#include <vector>

namespace erne::kv {
namespace {

using Tokens = std::vector<int32_t>;
constexpr uint64_t kAllBits = ~uint64_t{0};

TEST(PrefixTree, FindsWhatWasInsertedUnderTheSameParentOnly) {
  PrefixTree tree(2, kAllBits);
  const NodeId a = tree.insert(kNoNode, Tokens{1, 2}, 7);
  const NodeId ab = tree.insert(a, Tokens{3, 4}, 8);
  ASSERT_NE(a, kNoNode);
  ASSERT_NE(ab, kNoNode);
  EXPECT_EQ(tree.find(kNoNode, Tokens{1, 2}), a);
  EXPECT_EQ(tree.find(a, Tokens{3, 4}), ab);
  EXPECT_EQ(tree.find(kNoNode, Tokens{3, 4}), kNoNode);
  EXPECT_EQ(tree.find(a, Tokens{1, 2}), kNoNode);
  EXPECT_EQ(tree.find(kNoNode, Tokens{2, 1}), kNoNode);
  EXPECT_EQ(tree.block(ab), 8);
  EXPECT_EQ(tree.parent(ab), a);
  EXPECT_EQ(tree.num_children(a), 1);
  EXPECT_EQ(tree.size(), 2);
}

TEST(PrefixTree, ForgetsARemovedLeafAndReusesItsId) {
  PrefixTree tree(1, kAllBits);
  const NodeId a = tree.insert(kNoNode, Tokens{1}, 0);
  const NodeId ab = tree.insert(a, Tokens{2}, 1);
  tree.remove(ab);
  EXPECT_EQ(tree.find(a, Tokens{2}), kNoNode);
  EXPECT_EQ(tree.num_children(a), 0);
  EXPECT_EQ(tree.ids(), std::vector<NodeId>{a});
  EXPECT_EQ(tree.insert(a, Tokens{3}, 1), ab);
  EXPECT_EQ(tree.find(a, Tokens{3}), ab);
  EXPECT_EQ(tree.find(a, Tokens{2}), kNoNode);
}

TEST(PrefixTree, ACollisionIsAMiss) {
  PrefixTree tree(2, 0);  // every key is the same
  const NodeId a = tree.insert(kNoNode, Tokens{1, 2}, 0);
  EXPECT_EQ(tree.find(kNoNode, Tokens{1, 2}), a);
  EXPECT_EQ(tree.find(kNoNode, Tokens{1, 3}), kNoNode);  // other tokens
  EXPECT_EQ(tree.find(a, Tokens{1, 2}), kNoNode);        // another parent
  EXPECT_EQ(tree.insert(a, Tokens{1, 2}, 1), kNoNode);
  EXPECT_EQ(tree.num_children(a), 0);
  EXPECT_EQ(tree.size(), 1);
}

TEST(PrefixTreeDeathTest, RefusesWhatOnlyABugDoes) {
  PrefixTree tree(2, kAllBits);
  const NodeId a = tree.insert(kNoNode, Tokens{1, 2}, 0);
  tree.insert(a, Tokens{1, 2}, 1);
  EXPECT_DEATH(tree.remove(a), "children");
  EXPECT_DEATH(tree.find(a, Tokens{1}), "block_tokens");
  EXPECT_DEATH(tree.block(2), "size");
  EXPECT_DEATH(tree.block(-1), "id >= 0");
  EXPECT_DEATH(tree.insert(a, Tokens{5, 6}, -1), "block");
}

}  // namespace
}  // namespace erne::kv
