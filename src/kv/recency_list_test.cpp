#include "kv/recency_list.h"

#include <gtest/gtest.h>

#include <vector>

namespace erne::kv {
namespace {

std::vector<NodeId> in_order(const RecencyList& list) {
  std::vector<NodeId> ids;
  for (NodeId id = list.oldest(); id != kNoNode; id = list.newer(id)) ids.push_back(id);
  return ids;
}

TEST(RecencyList, KeepsTheOrderOfAppendingThroughRemovals) {
  RecencyList list;
  EXPECT_EQ(list.oldest(), kNoNode);
  for (NodeId id : {5, 0, 3, 2}) list.append(id);
  EXPECT_EQ(in_order(list), (std::vector<NodeId>{5, 0, 3, 2}));
  list.remove(0);  // in the middle
  list.remove(2);  // the newest
  list.remove(5);  // the oldest
  EXPECT_EQ(in_order(list), std::vector<NodeId>{3});
  list.append(5);
  EXPECT_EQ(in_order(list), (std::vector<NodeId>{3, 5}));
  EXPECT_EQ(list.size(), 2);
  EXPECT_TRUE(list.contains(5));
  EXPECT_FALSE(list.contains(0));
  EXPECT_FALSE(list.contains(100));
  list.remove(3);
  list.remove(5);
  EXPECT_EQ(list.oldest(), kNoNode);
  EXPECT_EQ(list.size(), 0);
}

TEST(RecencyListDeathTest, RefusesWhatOnlyABugDoes) {
  RecencyList list;
  list.append(1);
  EXPECT_DEATH(list.append(1), "contains");
  EXPECT_DEATH(list.append(-1), "id >= 0");
  EXPECT_DEATH(list.remove(0), "contains");
}

}  // namespace
}  // namespace erne::kv
