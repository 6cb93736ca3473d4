// How prompts share a step and how clients share the rows.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "sched/scheduler_fixture.h"

namespace erne::sched {
namespace {

class SchedulerSharingTest : public SchedulerTest {
 protected:
  // Prompts of more than 20 tokens are long, and a step has 41.
  static Limits limits() {
    return {.max_rows = 8, .max_tokens = 41, .max_model_len = 100000, .long_prompt = 20};
  }
  static Request sized(RequestId id, int size, int max_new_tokens = 1) {
    return request(id, count_from(static_cast<TokenId>(id) << 16, size), max_new_tokens);
  }
  void add_prompt(RequestId id, int size, int max_new_tokens = 1) {
    add(sized(id, size, max_new_tokens));
  }
  struct Owner {
    uint64_t client = 0;
    RequestId party = 0;
    int priority = 0;
  };
  void add_for(const Owner& owner, RequestId id, int size, int max_new_tokens) {
    Request r = sized(id, size, max_new_tokens);
    r.client = owner.client;
    r.party = owner.party;
    r.priority = owner.priority;
    add(r);
  }
  // As many as one question asks for: their party has the first one's id.
  void add_choices(uint64_t client, RequestId first, int count, int size, int max_new_tokens) {
    for (int i = 0; i < count; ++i) {
      Request r =
          request(first + i, count_from(static_cast<TokenId>(first) << 16, size), max_new_tokens);
      r.client = client;
      r.party = first;
      add(r);
    }
  }

  std::map<RequestId, int> token_counts() {
    std::map<RequestId, int> out;
    for (const PlanRow& row : plan().rows) out[row.request] = row.count;
    return out;
  }
  // Rows of the last plan whose requests are numbered so.
  int rows_of(RequestId first, RequestId last) const {
    int rows = 0;
    for (const PlanRow& row : plan_->rows) rows += row.request >= first && row.request <= last;
    return rows;
  }
  int steps_to_first_token(RequestId id) {
    for (int steps = 1; steps < 10000; ++steps) {
      for (const TokenEvent& event : step())
        if (event.id == id && !event.tokens.empty()) return steps;
    }
    return -1;
  }
};

TEST_F(SchedulerSharingTest, AShortPromptIsDoneAfterAFewStepsWhateverLongOnesThereAre) {
  for (const int max_long_prompts : {1, 2, 5}) {
    Limits l = limits();
    l.max_long_prompts = max_long_prompts;
    make(l, 100000);
    for (RequestId id = 1; id <= 6; ++id) add_prompt(id, 16000);
    for (int i = 0; i < 50; ++i) step();
    add_prompt(7, 20);
    EXPECT_LE(steps_to_first_token(7), 2) << max_long_prompts;
    for (RequestId id = 8; id <= 9; ++id) add_prompt(id, 18);
    EXPECT_LE(steps_to_first_token(9), 3) << max_long_prompts;
    token_budget_ = max_long_prompts + 8;  // what others decode leaves little
    add_prompt(10, 18);
    EXPECT_LE(steps_to_first_token(10), 6) << max_long_prompts;
    token_budget_ = max_long_prompts + 1;
    add_prompt(11, 18);
    EXPECT_LE(steps_to_first_token(11), 18) << max_long_prompts;  // one of its own in every step
    token_budget_ = std::numeric_limits<int>::max();
  }
}

TEST_F(SchedulerSharingTest, TheShortestGoesFirst) {
  make(limits(), 1000);
  add_prompt(1, 500);
  EXPECT_EQ(plan_text(), "1:0+41");
  commit();
  token_budget_ = 11;
  add_prompt(2, 19, 9);
  EXPECT_EQ(plan_text(), "1:41+6 2:0+5");
  commit();
  add_prompt(3, 4, 9);  // 2 wants 13 beside its own
  EXPECT_EQ(plan_text(), "1:47+5 2:5+2 3:0+4*");
  commit();
  add_prompt(4, 15, 9);  // now 11
  EXPECT_EQ(plan_text(), "1:52+5 2:7+5 3:4+1*");
}

TEST_F(SchedulerSharingTest, AmongShortOnesPriorityCountsMoreThanLength) {
  make(limits(), 1000);
  add_for({.priority = 1}, 1, 500, 1);
  step();
  token_budget_ = 11;
  add_for({.priority = 0}, 2, 19, 9);
  EXPECT_EQ(plan_text(), "2:0+5 1:41+6");
  commit();
  add_for({.priority = 1}, 3, 4, 9);
  EXPECT_EQ(plan_text(), "2:5+10 1:47+1");  // of it a less important one keeps nothing
}

TEST_F(SchedulerSharingTest, ALongPromptHasHalfOfEveryStepHoweverManyShortOnesCome) {
  make(limits(), 10000);
  add_prompt(1, 2000);
  step();
  RequestId next = 2;
  for (int steps = 1; true; ++steps) {
    for (int i = 0; i < 4; ++i) add_prompt(next++, 15);
    const int count = token_counts().at(1);
    const int computed = plan_->rows[0].first + count;
    commit();
    if (computed == 2000) break;
    ASSERT_GE(count, 20);
  }
  EXPECT_GT(scheduler_->stats().waiting, 20);  // there were too many short ones all the time
}

TEST_F(SchedulerSharingTest, LongPromptsGoOneAfterTheOtherUnlessToldOtherwise) {
  make(limits(), 10000);
  for (RequestId id = 1; id <= 3; ++id) add_prompt(id, 60);
  EXPECT_EQ(plan_text(), "1:0+41");
  commit();
  EXPECT_EQ(plan_text(), "1:41+19* 2:0+22");  // the rest of one is short
  commit();
  EXPECT_EQ(plan_text(), "2:22+38* 3:0+3");

  Limits two = limits();
  two.max_long_prompts = 2;
  make(two, 10000);
  for (RequestId id = 1; id <= 3; ++id) add_prompt(id, 200);
  EXPECT_EQ(plan_text(), "1:0+21 2:0+20");
  commit();
  EXPECT_EQ(plan_text(), "1:21+21 2:20+20");
}

TEST_F(SchedulerSharingTest, WhatFitsAStepWholeIsNoPartialPrompt) {
  Limits one = limits();
  one.max_tokens = 100;
  one.max_partial_prompts = 1;
  make(one, 10000);
  for (RequestId id = 1; id <= 4; ++id) add_prompt(id, 30);
  EXPECT_EQ(plan_text(), "1:0+30* 2:0+30* 3:0+30* 4:0+10");
  commit();
  add_prompt(5, 70);
  add_prompt(6, 70);
  EXPECT_EQ(plan_text(), "4:10+20* 5:0+70* 6:0+10");
  commit();
  token_budget_ = 11;
  add_prompt(7, 4);
  add_prompt(8, 7);
  EXPECT_EQ(plan_text(), "6:10+7 7:0+4*");  // 8 would be the second that is not done
}

TEST_F(SchedulerSharingTest, AStepScoresFewPromptTokensAndEveryOtherSequenceGoesOn) {
  Limits l = limits();
  l.max_tokens = 512;
  l.max_scored = 64;
  make(l, 1000);
  add_prompt(1, 5, 200);
  step();
  for (RequestId id = 2; id <= 3; ++id) {
    Request r = sized(id, 2000);
    r.sampling.prompt_logprobs = 3;
    add(r);
  }
  std::map<RequestId, int> scored;
  for (int steps = 0; scored[2] < 1999 || scored[3] < 1999; ++steps) {
    ASSERT_LT(steps, 100);
    int scoring = 0;
    for (const PlanRow& row : plan().rows) scoring += row.wants_prompt_logprobs ? row.count : 0;
    EXPECT_LE(scoring, 64);
    bool decoded = false, short_one = false;
    for (const TokenEvent& event : commit()) {
      decoded |= event.id == 1 && event.tokens.size() == 1;
      short_one |= event.id == 4;
      scored[event.id] += static_cast<int>(event.prompt_logprobs.size());
    }
    EXPECT_TRUE(decoded) << steps;
    if (steps == 3) add_prompt(4, 20);
    EXPECT_EQ(short_one, steps == 4);
  }
}

TEST_F(SchedulerSharingTest, ALongPromptThatIsScoredHoldsUpNoOtherLongOneAndNoOtherScore) {
  Limits l = limits();
  l.max_tokens = 512;
  make(l, 10000);
  const auto scored = [](RequestId id, int size) {
    Request r = sized(id, size);
    r.sampling.prompt_logprobs = 3;
    return r;
  };
  add(scored(1, 16000));
  step();
  add_prompt(2, 300);
  EXPECT_EQ(steps_to_first_token(2), 1);
  add(scored(3, 15));
  EXPECT_EQ(steps_to_first_token(3), 1);
}

TEST_F(SchedulerSharingTest, WithoutChunksAPromptIsScoredWhole) {
  Limits l = limits();
  l.max_tokens = 512;
  l.max_scored = 4;
  l.chunk_prompts = false;
  make(l, 1000);
  Request r = sized(1, 300);
  r.sampling.prompt_logprobs = 0;
  add(r);
  EXPECT_EQ(plan_text(), "1:0+300*");
}

// Of whatever one client has, another's request has a row in the next step.
TEST_F(SchedulerSharingTest, ManyChoicesKeepNobodyWaiting) {
  make(limits(), 10000);
  add_choices(0, 1, 128, 10, 2000);
  for (int i = 0; i < 30; ++i) step();
  EXPECT_EQ(scheduler_->stats().running, 8);
  add_prompt(200, 3);  // of the same client, but another question
  EXPECT_EQ(steps_to_first_token(200), 1);
  EXPECT_EQ(scheduler_->stats().preemptions, 1);
  step();
  EXPECT_EQ(rows_of(1, 128), 8);  // its row is theirs again
}

TEST_F(SchedulerSharingTest, ManyRequestsOfOneClientKeepNoOtherWaiting) {
  make(limits(), 10000);
  for (RequestId id = 1; id <= 128; ++id) add_for({.client = 7}, id, 10, 2000);
  for (int i = 0; i < 30; ++i) step();
  add_for({.client = 8}, 200, 3, 1);
  EXPECT_EQ(steps_to_first_token(200), 1);
}

TEST_F(SchedulerSharingTest, ClientsShareTheRowsEvenlyAndSoDoTheirQuestions) {
  make(limits(), 10000);
  add_choices(1, 100, 20, 4, 500);
  for (int i = 0; i < 5; ++i) step();
  add_choices(2, 200, 20, 4, 500);
  add_choices(2, 300, 20, 4, 500);
  step();
  EXPECT_EQ(rows_of(100, 199), 4);
  EXPECT_EQ(rows_of(200, 299), 2);
  EXPECT_EQ(rows_of(300, 399), 2);
  add_choices(3, 400, 20, 4, 500);
  step();
  EXPECT_GE(rows_of(100, 199), 2);
  EXPECT_GE(rows_of(200, 399), 2);
  EXPECT_GE(rows_of(400, 499), 2);
  const int64_t preemptions = scheduler_->stats().preemptions;
  for (int i = 0; i < 100; ++i) step();
  EXPECT_EQ(scheduler_->stats().preemptions, preemptions);  // nobody takes a row back and forth
}

TEST_F(SchedulerSharingTest, AFreeRowGoesToWhomeverHoldsFewestNotToWhoWaitedLongest) {
  Limits l = limits();
  l.max_rows = 6;
  make(l, 10000);
  add_for({.client = 3}, 1, 4, 4);
  step();
  add_choices(2, 200, 20, 4, 500);
  step();  // the second client takes its rows later than the first takes its last
  add_choices(1, 100, 20, 4, 500);
  step();
  EXPECT_EQ(rows_of(1, 1), 1);
  EXPECT_EQ(rows_of(200, 299), 3);
  EXPECT_EQ(rows_of(100, 199), 2);
  const int64_t preemptions = scheduler_->stats().preemptions;
  while (rows_of(1, 1) == 1) step();
  EXPECT_EQ(rows_of(200, 299), 3);
  EXPECT_EQ(rows_of(100, 199), 3);
  EXPECT_EQ(scheduler_->stats().preemptions, preemptions);  // it went there at once
}

TEST_F(SchedulerSharingTest, MoreClientsThanRowsComeInTurn) {
  make(limits(), 10000);
  for (uint64_t client = 1; client <= 10; ++client) add_choices(client, 100 * client, 5, 4, 3);
  step();
  for (uint64_t client = 1; client <= 8; ++client)
    EXPECT_EQ(rows_of(100 * client, 100 * client + 99), 1);
  EXPECT_EQ(scheduler_->stats().preemptions, 0);
  for (int i = 0; i < 3; ++i) step();
  for (uint64_t client = 9; client <= 10; ++client)
    EXPECT_EQ(rows_of(100 * client, 100 * client + 99), 1);
  while (!scheduler_->idle()) step();
  EXPECT_EQ(scheduler_->stats().generated_tokens, 10 * 5 * 3);
}

TEST_F(SchedulerSharingTest, AClientsOtherQuestionsWaitBehindClientsThatHadNoTurn) {
  make(limits(), 10000);
  for (RequestId id = 1; id <= 40; ++id) add_for({.client = 1 + id % 8}, id, 4, 3);
  for (uint64_t client = 9; client <= 10; ++client) add_for({.client = client}, 41 + client, 4, 3);
  for (int i = 0; i < 4; ++i) step();
  EXPECT_EQ(rows_of(50, 51), 2);
}

TEST_F(SchedulerSharingTest, NobodyYieldsToTheLessImportant) {
  make(limits(), 10000);
  for (RequestId id = 1; id <= 9; ++id) add_for({.client = 1, .party = 1}, id, 4, 300);
  step();
  add_for({.client = 2, .priority = 1}, 50, 3, 1);
  step();
  EXPECT_EQ(rows_of(50, 50), 0);
  add_for({.client = 2, .priority = 0}, 51, 3, 1);
  step();
  EXPECT_EQ(rows_of(51, 51), 1);
}

// The first client's sequences have taken all blocks, not all rows.
TEST_F(SchedulerSharingTest, BlocksAreSharedLikeRows) {
  make(limits(), 12);
  add_choices(1, 1, 3, 16, 30);
  step();
  add_for({.client = 2}, 50, 9, 1);
  int steps = 0;
  while (rows_of(50, 50) == 0) ASSERT_LT((step(), ++steps), 5);
  while (!scheduler_->idle()) step();
  EXPECT_EQ(scheduler_->stats().generated_tokens, 3 * 30 + 1);
}

TEST_F(SchedulerSharingTest, ShortOfBlocksTheOneWithTheMostRowsYields) {
  make(limits(), 6);
  add_choices(1, 1, 2, 7, 10);        // they share their first block
  add_for({.client = 2}, 50, 7, 10);  // the youngest, but it has one row
  step();
  EXPECT_EQ(rows_of(1, 50), 3);
  while (scheduler_->stats().preemptions == 0) step();
  EXPECT_EQ(rows_of(50, 50), 1);
  while (!scheduler_->idle()) step();
  EXPECT_EQ(scheduler_->stats().generated_tokens, 30);
}

TEST_F(SchedulerSharingTest, ACancelledPromptIsGoneByTheNextStep) {
  for (const bool in_flight : {false, true}) {
    make(limits(), 5000);
    add_prompt(1, 16000);
    add_prompt(2, 16000);
    step();
    plan();
    if (in_flight) scheduler_->cancel(1);
    commit();
    if (!in_flight) scheduler_->cancel(1);
    EXPECT_EQ(plan_text(), "2:0+41") << in_flight;
    commit();
    scheduler_->cancel(2);
    EXPECT_EQ(plan_text(), "");
    commit();
    EXPECT_TRUE(scheduler_->idle());
    EXPECT_EQ(cache_->available_blocks(), 5000);
  }
}

}  // namespace
}  // namespace erne::sched
