// Who computes what in a step.
#include <gtest/gtest.h>

#include <vector>

#include "sched/scheduler_fixture.h"

namespace erne::sched {
namespace {

TEST_F(SchedulerTest, ComputesAPromptThenOneTokenPerStep) {
  make({}, 10);
  EXPECT_EQ(scheduler_->stats().running, 0);
  add(request(1, count_from(10, 6), 3));
  EXPECT_EQ(plan_text(), "1:0+6*");
  EXPECT_EQ(plan_->tokens, count_from(10, 6));
  EXPECT_EQ(plan_->blocks, (std::vector<kv::BlockId>{0, 1}));
  std::vector<TokenEvent> events = commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, 1u);
  EXPECT_EQ(events[0].tokens, Tokens{506});
  EXPECT_FALSE(events[0].finish.has_value());
  EXPECT_EQ(plan_text(), "1:6+1*");
  EXPECT_EQ(plan_->tokens, Tokens{506});
  commit();
  EXPECT_EQ(plan_text(), "1:7+1*");
  events = commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kLength);
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(scheduler_->stats().generated_tokens, 3);
  EXPECT_EQ(scheduler_->stats().prompt_tokens, 6);
  EXPECT_EQ(cache_->free_blocks(), 8);  // two full blocks stay cached
  EXPECT_EQ(plan_text(), "");
}

TEST_F(SchedulerTest, DecodesFirstAndCutsPromptsToTheBudget) {
  make({.max_rows = 4, .max_tokens = 8}, 100);
  add(request(1, count_from(10, 3), 9));
  add(request(2, count_from(20, 20), 9));
  EXPECT_EQ(plan_text(), "1:0+3* 2:0+5");
  commit();
  EXPECT_EQ(plan_text(), "1:3+1* 2:5+7");
  commit();
  add(request(3, count_from(40, 9), 9));
  add(request(4, count_from(60, 2), 9));
  EXPECT_EQ(plan_text(), "1:4+1* 2:12+5 4:0+2*");  // 3 wants more than 2 does, 4 less
  commit();
  EXPECT_EQ(plan_text(), "1:5+1* 2:17+3* 3:0+3 4:2+1*");
  commit();
  EXPECT_EQ(plan_text(), "1:6+1* 2:20+1* 3:3+5 4:3+1*");
}

TEST_F(SchedulerTest, EveryRunningSequenceAdvancesInEveryStep) {
  make({.max_rows = 3, .max_tokens = 5}, 100);
  add(request(1, count_from(10, 4), 9));
  add(request(2, count_from(20, 30), 9));
  EXPECT_EQ(plan_text(), "1:0+4* 2:0+1");
  commit();
  add(request(3, count_from(60, 30), 9));
  EXPECT_EQ(plan_text(), "1:4+1* 2:1+4");
  commit();
  EXPECT_EQ(plan_text(), "1:5+1* 2:5+4");
}

TEST_F(SchedulerTest, AStepsBudgetCutsPromptsOnly) {
  make({.max_rows = 4, .max_tokens = 8}, 100);
  add(request(1, count_from(10, 3), 9));
  add(request(2, count_from(20, 20), 9));
  step();
  EXPECT_EQ(scheduler_->decode_tokens(), 1);  // 2 has a prompt left
  token_budget_ = 3;
  EXPECT_EQ(plan_text(), "1:3+1* 2:5+2");
  commit();
  token_budget_ = 2;
  add(request(3, {60}, 9));
  EXPECT_EQ(plan_text(), "1:4+1* 2:7+1");  // nothing is spare for a newcomer
  commit();
  token_budget_ = 100;  // the limits hold
  EXPECT_EQ(plan_text(), "1:5+1* 2:8+6 3:0+1*");
}

TEST_F(SchedulerTest, EveryRunningSequenceAdvancesWhateverTheBudget) {
  make({.max_rows = 3, .max_tokens = 8}, 100);
  for (const int budget : {0, -1, std::numeric_limits<int>::min()}) {
    token_budget_ = budget;
    const RequestId id = step_ + 1;
    add(request(id, count_from(10, 2), 1));
    EXPECT_EQ(plan_text(), std::to_string(id) + ":0+1");  // something begins
    commit();
    EXPECT_EQ(plan_text(), std::to_string(id) + ":1+1*");
    commit();
    EXPECT_TRUE(scheduler_->idle());
  }
}

TEST_F(SchedulerTest, ABudgetLeavesDraftsBeforePrompts) {
  make({.max_rows = 3, .max_tokens = 20, .max_drafts = 3}, 100);
  add(request(1, {1}, 9));
  add(request(2, count_from(20, 30), 9));
  plan();
  commit({{.accepted = {4}, .drafts = {5, 6, 7}}, {}});
  EXPECT_EQ(scheduler_->decode_tokens(), 4);
  token_budget_ = 6;
  EXPECT_EQ(plan_text(), "1:1+4* 2:19+2");
  EXPECT_EQ(plan_->rows[0].drafts, 3);
  commit({{.accepted = {5, 8}, .drafts = {9}}, {}});
  token_budget_ = 2;
  EXPECT_EQ(plan_text(), "1:3+1* 2:21+1");
}

TEST_F(SchedulerTest, RowsAreLimited) {
  make({.max_rows = 2}, 100);
  for (RequestId id : {1, 2, 3}) add(request(id, count_from(10 * id, 2), 2));
  EXPECT_EQ(plan_text(), "1:0+2* 2:0+2*");
  EXPECT_EQ(scheduler_->stats().running, 2);
  EXPECT_EQ(scheduler_->stats().waiting, 1);
  commit();
  EXPECT_EQ(plan_text(), "1:2+1* 2:2+1*");
  commit();
  EXPECT_EQ(plan_text(), "3:0+2*");
}

TEST_F(SchedulerTest, MoreImportantComesFirstAndTiesGoById) {
  make({.max_rows = 2, .max_tokens = 100}, 100);
  for (const auto& [id, priority] :
       std::vector<std::pair<int, int>>{{1, 1}, {2, 0}, {3, 0}, {4, -1}}) {
    Request r = request(id, {id}, 1);
    r.priority = priority;
    add(r);
  }
  EXPECT_EQ(plan_text(), "4:0+1* 2:0+1*");
  commit();
  EXPECT_EQ(plan_text(), "3:0+1* 1:0+1*");
}

TEST_F(SchedulerTest, NoneOvertakesWhereBlocksAreShort) {
  make({.max_rows = 4, .max_tokens = 100}, 4);
  add(request(1, count_from(10, 12), 5));  // three blocks
  EXPECT_EQ(plan_text(), "1:0+12*");
  commit();
  add(request(2, count_from(30, 8), 1));  // two
  add(request(3, count_from(40, 2), 1));  // one, but it came later
  EXPECT_EQ(plan_text(), "1:12+1*");
  EXPECT_EQ(scheduler_->stats().waiting, 2);
}

TEST_F(SchedulerTest, KeepsBlocksToGrowIntoUnlessNothingRuns) {
  make({.max_rows = 4, .max_tokens = 100, .min_free_blocks = 2}, 4);
  add(request(1, count_from(10, 12), 3));
  EXPECT_EQ(plan_text(), "1:0+12*");  // one is left, but it is alone
  commit();
  while (!scheduler_->idle()) step();
  add(request(2, count_from(30, 4), 3));
  add(request(3, count_from(40, 4), 3));
  add(request(4, count_from(50, 4), 3));
  EXPECT_EQ(plan_text(), "2:0+4* 3:0+4*");
}

TEST_F(SchedulerTest, PreemptsTheYoungestAndFinishesEverybody) {
  make({.max_rows = 4, .max_tokens = 100}, 6);
  for (RequestId id : {1, 2, 3}) add(request(id, count_from(100 * id, 7), 10));
  EXPECT_EQ(plan_text(), "1:0+7* 2:0+7* 3:0+7*");  // two blocks each: all of them
  commit();
  EXPECT_EQ(plan_text(), "1:7+1* 2:7+1* 3:7+1*");
  commit();
  EXPECT_EQ(plan_text(), "1:8+1* 2:8+1*");  // 3 makes room for a third block of both
  commit();
  EXPECT_EQ(scheduler_->stats().preemptions, 1);
  EXPECT_EQ(scheduler_->stats().waiting, 1);
  while (!scheduler_->idle()) step();
  EXPECT_EQ(scheduler_->stats().generated_tokens, 30);
  EXPECT_EQ(scheduler_->stats().prompt_tokens, 21);  // counted once
}

TEST_F(SchedulerTest, APreemptedSequenceComesBackAsAPrefixHit) {
  make({.max_rows = 4, .max_tokens = 100}, 6);
  add(request(1, count_from(100, 3), 3));
  add(request(2, count_from(200, 15), 5));
  EXPECT_EQ(plan_text(), "1:0+3* 2:0+15*");  // one block and four
  commit();
  EXPECT_EQ(plan_text(), "1:3+1* 2:15+1*");
  commit();
  EXPECT_EQ(plan_text(),
            "1:4+1*");  // took the last block; 2 needs one as well, and is the youngest
  EXPECT_EQ(cache_->reclaimable_blocks(), 4);
  commit();
  EXPECT_EQ(plan_text(), "2:16+1*");
}

TEST_F(SchedulerTest, PriorityDecidesWhoIsPreempted) {
  make({.max_rows = 4, .max_tokens = 100}, 2);
  Request unimportant = request(1, count_from(10, 4), 4);
  unimportant.priority = 5;
  add(unimportant);
  add(request(2, count_from(20, 4), 4));
  EXPECT_EQ(plan_text(), "2:0+4* 1:0+4*");
  commit();
  EXPECT_EQ(plan_text(), "2:4+1*");
  commit();
  EXPECT_EQ(plan_text(), "2:5+1*");
  commit();
  EXPECT_EQ(plan_text(), "2:6+1*");
  commit();
  EXPECT_EQ(plan_text(), "1:0+5*");
}

TEST_F(SchedulerTest, APreemptionAdmitsNobodyInTheSameStep) {
  make({.max_rows = 4, .max_tokens = 100}, 4);
  add(request(1, count_from(10, 4), 9));
  add(request(2, count_from(20, 12), 4));
  EXPECT_EQ(plan_text(), "1:0+4* 2:0+12*");
  commit();
  add(request(3, count_from(30, 1), 4));
  EXPECT_EQ(plan_text(), "1:4+1*");  // the room 2 left is not 3's
  commit();
}

TEST_F(SchedulerTest, ASharedPrefixIsComputedOnce) {
  make({.max_tokens = 100}, 20);
  add(request(1, count_from(10, 9), 4));
  step();
  add(request(2, count_from(10, 9), 4));
  add(request(3, count_from(10, 8), 1));  // the last token is computed all the same
  EXPECT_EQ(plan_text(), "1:9+1* 2:8+1* 3:4+4*");
  EXPECT_EQ(scheduler_->stats().cached_prompt_tokens, 12);
  const std::vector<TokenEvent> events = commit();
  EXPECT_EQ(events[0].cached_tokens, 0);
  EXPECT_EQ(events[1].cached_tokens, 8);
  EXPECT_EQ(events[2].cached_tokens, 4);
  EXPECT_TRUE(events[2].finish.has_value());
}

TEST_F(SchedulerTest, APrefixComesBackFromTheHost) {
  make({.max_tokens = 100}, 4, 4, 4);
  add(request(1, count_from(10, 9), 1));
  step();
  add(request(2, count_from(50, 13), 1));
  EXPECT_EQ(plan_text(), "2:0+13*");
  EXPECT_EQ(plan_->copies.size(), 2u);
  commit();
  add(request(3, count_from(10, 9), 1));
  EXPECT_EQ(plan_text(), "3:8+1*");
  EXPECT_EQ(scheduler_->stats().cached_prompt_tokens, 8);
  EXPECT_EQ(scheduler_->stats().host_cached_prompt_tokens, 8);
  commit();
  add(request(4, count_from(10, 9), 1));  // on the device now
  step();
  EXPECT_EQ(scheduler_->stats().cached_prompt_tokens, 16);
  EXPECT_EQ(scheduler_->stats().host_cached_prompt_tokens, 8);
}

// What it finds while there are too few blocks for it is on the device when there are enough.
TEST_F(SchedulerTest, APrefixCameFromTheHostThoughItHadToWaitForBlocks) {
  make({.max_rows = 2, .max_tokens = 100}, 6, 4, 20);
  add(request(1, count_from(10, 9), 1));
  step();
  add(request(2, count_from(50, 24), 1));
  step();  // on all of the device's blocks
  add(request(3, count_from(90, 13), 2));
  step();
  add(request(4, count_from(10, 17), 1));  // needs 5 of them
  EXPECT_EQ(plan_text(), "3:13+1*");
  EXPECT_EQ(scheduler_->stats().host_cached_prompt_tokens, 0);
  commit();
  EXPECT_EQ(plan_text(), "4:8+9*");
  EXPECT_EQ(scheduler_->stats().host_cached_prompt_tokens, 8);
}

TEST_F(SchedulerTest, WithoutSharingNothingIsCached) {
  make({.max_tokens = 100, .share_prefixes = false}, 20);
  add(request(1, count_from(10, 9), 4));
  step();
  add(request(2, count_from(10, 9), 1));
  EXPECT_EQ(plan_text(), "1:9+1* 2:0+9*");
  commit();
  while (!scheduler_->idle()) step();
  EXPECT_EQ(cache_->free_blocks(), 20);
}

TEST_F(SchedulerTest, WithoutChunksAPromptWaitsForAStepThatHoldsIt) {
  make({.max_rows = 4, .max_tokens = 8, .chunk_prompts = false}, 20);
  add(request(1, count_from(10, 3), 3));
  add(request(2, count_from(20, 7), 3));
  add(request(3, count_from(30, 1), 3));
  EXPECT_EQ(plan_text(), "1:0+3*");  // 3 would fit, but 2 comes first
  commit();
  EXPECT_EQ(plan_text(), "1:3+1* 2:0+7*");
  commit();
  EXPECT_EQ(plan_text(), "1:4+1* 2:7+1* 3:0+1*");
}

TEST_F(SchedulerTest, WithoutChunksABudgetCutsNothing) {
  make({.max_rows = 4, .max_tokens = 8, .chunk_prompts = false}, 20);
  token_budget_ = 1;
  add(request(1, count_from(10, 3), 3));
  EXPECT_EQ(plan_text(), "1:0+3*");
  commit();
  add(request(2, count_from(20, 7), 3));
  EXPECT_EQ(plan_text(), "1:3+1* 2:0+7*");
}

TEST_F(SchedulerTest, APrefixHitCountsForAPromptThatMustFitAStep) {
  make({.max_rows = 4, .max_tokens = 8, .chunk_prompts = false}, 20);
  add(request(1, count_from(10, 8), 3));
  step();
  add(request(2, count_from(10, 8), 3));
  EXPECT_EQ(plan_text(), "1:8+1* 2:4+4*");
}

TEST_F(SchedulerTest, RefusesMoreThanMayWait) {
  make({.max_rows = 1, .max_waiting = 2}, 20);
  add(request(1, {1}, 2));
  add(request(2, {1}, 2));
  const Result<void> refused = scheduler_->add(request(3, {1}, 2));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code, Code::kOverloaded);
  EXPECT_NE(refused.status().message.find("2 requests"), std::string::npos);
  step();
  add(request(3, {1}, 2));
  EXPECT_EQ(scheduler_->stats().waiting, 2);
}

TEST_F(SchedulerTest, RefusesWhatNeverFits) {
  make({}, 2);
  EXPECT_EQ(scheduler_->add(request(1, count_from(0, 9), 1)).status().code, Code::kTooLong);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, AfterWarmUpAPlanAllocatesNothing) {
  make({.max_rows = 4, .max_tokens = 64, .share_prefixes = false}, 100, 16);
  for (RequestId id : {1, 2, 3, 4}) add(request(id, count_from(10, 8), 40));
  for (int i = 0; i < 12; ++i) step();
  const BatchPlan& warm = plan();
  const void* places[] = {warm.rows.data(), warm.tokens.data(), warm.blocks.data()};
  commit();
  const BatchPlan& next = plan();
  EXPECT_EQ(next.rows.data(), places[0]);
  EXPECT_EQ(next.tokens.data(), places[1]);
  EXPECT_EQ(next.blocks.data(), places[2]);
  commit();
}

}  // namespace
}  // namespace erne::sched
