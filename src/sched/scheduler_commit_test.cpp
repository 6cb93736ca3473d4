// What a step brings: tokens, drafts, ends, cancellations, scores.
#include <gtest/gtest.h>

#include <vector>

#include "sched/scheduler_fixture.h"

namespace erne::sched {
namespace {

TEST_F(SchedulerTest, CancelsAWaitingSequence) {
  make({.max_rows = 1}, 20);
  add(request(1, {1}, 2));
  add(request(2, {1}, 2));
  step();
  scheduler_->cancel(2);
  scheduler_->cancel(2);
  scheduler_->cancel(77);
  EXPECT_FALSE(scheduler_->idle());
  EXPECT_EQ(scheduler_->stats().waiting, 0);
  const std::vector<TokenEvent> events = step();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].id, 2u);
  EXPECT_EQ(events[0].finish, FinishReason::kCancelled);
  EXPECT_EQ(events[0].cached_tokens, 0);
  EXPECT_EQ(events[1].id, 1u);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, CancelsARunningSequenceBetweenSteps) {
  make({}, 20);
  add(request(1, {1}, 5));
  step();
  scheduler_->cancel(1);
  EXPECT_EQ(cache_->free_blocks(), 20);  // at once
  EXPECT_EQ(plan_text(), "");
  const std::vector<TokenEvent> events = commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kCancelled);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, CancelsASequenceInFlight) {
  make({}, 20);
  add(request(1, {1}, 1));
  plan();
  scheduler_->cancel(1);
  scheduler_->cancel(1);
  EXPECT_EQ(cache_->free_blocks(), 19);  // the executor still writes to it
  const std::vector<TokenEvent> events = commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kCancelled);
  EXPECT_TRUE(events[0].tokens.empty());
  EXPECT_EQ(cache_->free_blocks(), 20);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, AFailureEndsEveryRequestMostImportantFirst) {
  make({.max_rows = 2}, 20);
  for (RequestId id : {1, 2, 3}) add(request(id, {1}, 5));
  plan();
  const std::span<TokenEvent> events =
      scheduler_->commit({.step = plan_->step, .failure = Status{Code::kInternal, "no device"}});
  ASSERT_EQ(events.size(), 3u);
  for (RequestId id : {1, 2, 3}) {
    EXPECT_EQ(events[id - 1].id, id);
    EXPECT_EQ(events[id - 1].finish, FinishReason::kError);
    EXPECT_EQ(events[id - 1].error.message, "no device");
  }
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(scheduler_->stats().running, 0);
  EXPECT_EQ(cache_->free_blocks(), 20);
}

TEST_F(SchedulerTest, ARowThatFailsEndsItsSequenceAlone) {
  make({.max_rows = 2}, 20);
  for (RequestId id : {1, 2}) add(request(id, {1}, 5));
  plan();
  std::vector<RowResult> rows;
  for (const PlanRow& row : plan_->rows) rows.push_back(usual_answer(row));
  rows[0] = {.failure = Status{Code::kInternal, "no way on"}};
  const std::vector<TokenEvent> events = commit(std::move(rows));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].finish, FinishReason::kError);
  EXPECT_EQ(events[0].error.message, "no way on");
  EXPECT_TRUE(events[0].tokens.empty());
  EXPECT_FALSE(events[1].finish.has_value());
  EXPECT_EQ(cache_->free_blocks(), 19);
  EXPECT_EQ(plan_text(), "2:1+1*");
}

TEST_F(SchedulerTest, EndsAtEosAndAtStopTokens) {
  make({}, 20);
  add(request(1, {1}, 5));
  Request stopped = request(2, {5}, 5);
  stopped.stop.stop_token_ids = {9};
  add(stopped);
  Request ignoring = request(3, {6}, 5);
  ignoring.stop.ignore_eos = true;
  add(ignoring);
  plan();
  const std::vector<TokenEvent> events =
      commit({{.accepted = {kEos}}, {.accepted = {9}}, {.accepted = {kEos}}});
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
  EXPECT_EQ(events[0].tokens, Tokens{kEos});
  EXPECT_EQ(events[1].finish, FinishReason::kStop);
  EXPECT_FALSE(events[2].finish.has_value());
  EXPECT_EQ(scheduler_->stats().running, 1);
}

TEST_F(SchedulerTest, AStopTokenBeforeTheMinimumIsText) {
  make({}, 20);
  Request r = request(1, {1}, 5);
  r.stop.min_new_tokens = 2;
  add(r);
  for (int i = 0; i < 2; ++i) {
    plan();
    EXPECT_FALSE(commit({{.accepted = {kEos}}})[0].finish.has_value()) << i;
  }
  plan();
  EXPECT_EQ(commit({{.accepted = {kEos}}})[0].finish, FinishReason::kStop);
}

TEST_F(SchedulerTest, VerifiesDraftsAndKeepsTheAcceptedOnes) {
  make({.max_tokens = 100, .max_drafts = 3}, 20);
  add(request(1, count_from(10, 5), 20));
  plan();
  commit({{.accepted = {100}, .drafts = {101, 102, 103, 104}}});
  EXPECT_EQ(plan_text(), "1:5+4*");
  EXPECT_EQ(plan_->rows[0].drafts, 3);
  EXPECT_EQ(plan_->tokens, (Tokens{100, 101, 102, 103}));
  std::vector<TokenEvent> events = commit({{.accepted = {101, 102, 200}, .drafts = {7}}});
  EXPECT_EQ(events[0].tokens, (Tokens{101, 102, 200}));
  EXPECT_EQ(plan_text(), "1:8+2*");  // the third was wrong: its slot is written again
  EXPECT_EQ(plan_->tokens, (Tokens{200, 7}));
  commit({{.accepted = {8}}});
  EXPECT_EQ(plan_text(), "1:9+1*");
}

TEST_F(SchedulerTest, DraftsBeyondTheLastTokenAreCut) {
  make({.max_tokens = 100, .max_drafts = 4}, 20);
  add(request(1, {1}, 3));
  plan();
  commit({{.accepted = {100}, .drafts = {1, 1, 1, 1}}});
  EXPECT_EQ(plan_text(), "1:1+2*");  // two tokens are left: one draft and what follows it
  const std::vector<TokenEvent> events = commit({{.accepted = {1, 50}}});
  EXPECT_EQ(events[0].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, AnEndAmongAcceptedDraftsDropsTheTail) {
  make({.max_tokens = 100, .max_drafts = 4}, 20);
  add(request(1, count_from(10, 4), 20));
  plan();
  commit({{.accepted = {100}, .drafts = {101, kEos, 103}}});
  plan();
  const std::vector<TokenEvent> events = commit({{.accepted = {101, kEos, 103, 104}}});
  EXPECT_EQ(events[0].tokens, (Tokens{101, kEos}));
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
  EXPECT_EQ(scheduler_->stats().generated_tokens, 3);
  // 4 + 3 tokens stay, and the one full block of them, for the next turn of the conversation. The
  // slot after them was written as well, but with what is no part of the text.
  EXPECT_EQ(cache_->reclaimable_blocks(), 1);
}

TEST_F(SchedulerTest, WithoutSpeculationProposalsAreNotTaken) {
  make({}, 20);
  add(request(1, {1}, 5));
  plan();
  commit({{.accepted = {100}, .drafts = {101, 102}}});
  EXPECT_EQ(plan_text(), "1:1+1*");
}

TEST_F(SchedulerTest, DraftsTakeOnlySpareBudgetAndSpareBlocks) {
  make({.max_rows = 2, .max_tokens = 4, .max_drafts = 4}, 3);
  add(request(1, {1}, 8));
  add(request(2, {2}, 8));
  plan();
  commit({{.accepted = {100}, .drafts = {1, 2, 3, 4}}, {.accepted = {200}, .drafts = {5, 6, 7}}});
  EXPECT_EQ(plan_text(), "1:1+3* 2:1+1*");  // each its own token, the spare two to the first
  // A second block for the drafts of 2 was free; of 1's four drafts two were cut.
  EXPECT_EQ(plan_->tokens, (Tokens{100, 1, 2, 200}));
  EXPECT_EQ(scheduler_->stats().preemptions, 0);
}

TEST_F(SchedulerTest, AGuessPreemptsNobody) {
  make({.max_rows = 2, .max_tokens = 40, .max_drafts = 4}, 2);
  add(request(1, {1, 2, 3}, 4));
  add(request(2, {4, 5, 6}, 4));
  plan();
  commit({{.accepted = {100}, .drafts = {1, 2}}, {.accepted = {200}, .drafts = {5, 6}}});
  EXPECT_EQ(plan_text(), "1:3+1* 2:3+1*");
  EXPECT_EQ(scheduler_->stats().preemptions, 0);
}

TEST_F(SchedulerTest, WithNothingToGenerateItComputesThePrompt) {
  make({.max_rows = 2, .max_tokens = 4}, 20);
  add(request(1, count_from(10, 6), 0));
  EXPECT_EQ(plan_text(), "1:0+4");
  EXPECT_TRUE(commit().empty());
  EXPECT_EQ(plan_text(), "1:4+2");
  const std::vector<TokenEvent> events = commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kLength);
  EXPECT_TRUE(events[0].tokens.empty());
}

TEST_F(SchedulerTest, ScoresEveryPromptTokenButTheFirst) {
  make({.max_rows = 2, .max_tokens = 3}, 20);
  Request r = request(1, count_from(10, 5), 2);
  r.sampling.prompt_logprobs = 0;
  add(r);
  std::vector<TokenId> scored;
  while (!scheduler_->idle()) {
    for (const TokenEvent& event : step()) {
      for (const PositionLogprobs& p : event.prompt_logprobs) scored.push_back(p.chosen.token);
    }
  }
  EXPECT_EQ(scored, count_from(11, 4));
}

TEST_F(SchedulerTest, WhatIsNotScoredYetIsNotTakenFromTheCache) {
  make({.max_rows = 2, .max_tokens = 100}, 20);
  add(request(1, count_from(10, 9), 1));
  step();
  Request r = request(2, count_from(10, 9), 1);
  r.sampling.prompt_logprobs = 0;
  add(r);
  EXPECT_EQ(plan_text(), "2:0+9*");
  EXPECT_TRUE(plan_->rows[0].wants_prompt_logprobs);
  EXPECT_EQ(commit()[0].prompt_logprobs.size(), 8u);
}

TEST_F(SchedulerTest, PreemptionNeitherLosesNorRepeatsPromptLogprobs) {
  make({.max_rows = 2, .max_tokens = 9}, 6);
  add(request(1, count_from(50, 3), 12));
  Request r = request(2, count_from(10, 19), 1);
  r.sampling.prompt_logprobs = 0;
  add(r);
  std::vector<float> scored;
  int wanting = 0;
  while (!scheduler_->idle()) {
    for (const PlanRow& row : plan().rows) wanting += row.wants_prompt_logprobs;
    for (const TokenEvent& event : commit()) {
      for (const PositionLogprobs& p : event.prompt_logprobs) scored.push_back(p.chosen.logprob);
    }
  }
  EXPECT_EQ(scheduler_->stats().preemptions, 1);
  std::vector<float> expected(18);
  for (int i = 0; i < 18; ++i) expected[i] = -1.0f * (i + 1);
  EXPECT_EQ(scored, expected);
  EXPECT_LE(wanting, 4);
}

TEST_F(SchedulerTest, TokensOnlyRowsDoNotWantPromptLogprobs) {
  make({.max_tokens = 4}, 20);
  Request r = request(1, count_from(10, 5), 2);
  r.sampling.prompt_logprobs = 0;
  add(r);
  plan();
  EXPECT_TRUE(plan_->rows[0].wants_prompt_logprobs);  // 4 tokens predict prompt tokens 1 to 4: all
  EXPECT_EQ(commit()[0].prompt_logprobs.size(), 4u);
  plan();
  EXPECT_FALSE(plan_->rows[0].wants_prompt_logprobs);
  commit();
}

TEST_F(SchedulerTest, RefusesWhatOnlyABugDoes) {
  make({.max_drafts = 2}, 20);
  add(request(1, {1}, 5));
  EXPECT_DEATH((void)scheduler_->add(request(1, {1}, 5)).ok(), "is_new");
  EXPECT_DEATH(scheduler_->commit({.step = 0}), "in_flight");
  plan();
  EXPECT_DEATH(scheduler_->plan(9, 1), "in_flight");
  EXPECT_DEATH(scheduler_->commit({.step = 0}), "step");
  EXPECT_DEATH(commit({}), "rows");
  EXPECT_DEATH(commit({{.accepted = {}}}), "num_accepted");
  EXPECT_DEATH(commit({{.accepted = {1, 2}}}), "num_accepted");
  EXPECT_DEATH(commit({{.accepted = {1}, .logprobs = {{}}}}), "logprobs");
  EXPECT_DEATH(commit({{.accepted = {1}, .prompt_logprobs = {{}}}}), "logprobs");
  commit({{.accepted = {4}, .drafts = {5, 6}}});
  EXPECT_DEATH(scheduler_->plan(step_, 1), "step");
  plan();
  EXPECT_DEATH(commit({{.accepted = {5, 7, 8}}}), "drafts");  // 7 was not the draft
  Limits none;
  EXPECT_DEATH(Scheduler(none, *cache_), "ok");
}

}  // namespace
}  // namespace erne::sched
