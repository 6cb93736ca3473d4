// The shadow executor must see what it is there to see: each fault a plan can have is planted once.
#include "sim/shadow_executor.h"

#include <gtest/gtest.h>

#include <functional>

namespace erne::sim {
namespace {

constexpr int kBlockTokens = 4;

// Two sequences of 6 tokens with 4 of them computed, in blocks 0-1 and 2-3; a host tier of two
// blocks.
class ShadowExecutorTest : public testing::Test {
 protected:
  ShadowExecutorTest()
      : executor_({.geometry = {.device_blocks = 6, .host_blocks = 2, .block_tokens = kBlockTokens},
                   .vocabulary = 50}) {
    for (int i = 0; i < 2; ++i) {
      sched::Sequence& sequence = sequences_[i];
      sequence.request.id = i + 1;
      sequence.request.prompt = {i, 1, 2, 3, 4, 5};
      sequence.request.stop.max_new_tokens = 5;
      sequence.tokens = sequence.request.prompt;
    }
    EXPECT_FALSE(run(0, 4).failure.has_value());
  }

  sched::BatchPlan plan(int first, int count) {
    sched::BatchPlan plan;
    plan.step = ++step_;
    for (int i = 0; i < 2; ++i) {
      const sched::Sequence& sequence = sequences_[i];
      const int token = static_cast<int>(plan.tokens.size());
      plan.rows.push_back({.request = sequence.request.id,
                           .first = first,
                           .count = count,
                           .wants_token = first + count == sequence.size(),
                           .tokens = {token, token + count},
                           .blocks = {2 * i, 2 * i + 2},
                           .sequence = &sequence});
      plan.tokens.insert(plan.tokens.end(), sequence.tokens.begin() + first,
                         sequence.tokens.begin() + first + count);
    }
    plan.blocks = {0, 1, 2, 3};
    return plan;
  }
  sched::StepResult run(int first, int count) { return executor_.run(plan(first, count)); }

  std::string fault_after(const std::function<void(sched::BatchPlan&)>& change) {
    sched::BatchPlan changed = plan(4, 2);
    change(changed);
    const sched::StepResult result = executor_.run(changed);
    return result.failure ? result.failure->message : "none";
  }
  static void expect_names(const std::string& fault, const std::string& what) {
    EXPECT_NE(fault.find(what), std::string::npos) << fault;
  }

  ShadowExecutor executor_;
  sched::Sequence sequences_[2];
  sched::Step step_ = 0;
};

using Plan = sched::BatchPlan;

TEST_F(ShadowExecutorTest, AnswersWithTheModelsText) {
  const sched::StepResult result = run(4, 2);
  ASSERT_FALSE(result.failure.has_value());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(result.rows[i].accepted[0],
              evaluate(executor_.model(), sequences_[i].request).tokens[0]);
  }
  EXPECT_NE(result.rows[0].accepted, result.rows[1].accepted);
}

TEST_F(ShadowExecutorTest, FollowsCopiesInTheirOrder) {
  EXPECT_EQ(fault_after([](Plan& p) {
              p.copies = {{0, 6}, {2, 7}, {7, 0}, {6, 4}};  // 0 is saved, overwritten, back in 4
              p.blocks = {4, 1, 0, 3};
            }),
            "none");
}

TEST_F(ShadowExecutorTest, SeesAWrongBlock) {
  expect_names(fault_after([](Plan& p) { p.blocks[0] = 4; }), "wrong KV at position 0");
}
TEST_F(ShadowExecutorTest, SeesALostCopy) {
  expect_names(fault_after([](Plan& p) { p.copies = {{2, 7}, {7, 0}}; }), "wrong KV at position 0");
}
TEST_F(ShadowExecutorTest, SeesACopyBeyondTheTiers) {
  expect_names(fault_after([](Plan& p) { p.copies = {{2, 8}}; }), "copy of block 2 to 8");
}
TEST_F(ShadowExecutorTest, SeesACopyWithinATier) {
  for (const kv::BlockCopy copy : {kv::BlockCopy{2, 4}, kv::BlockCopy{6, 7}})
    expect_names(fault_after([&](Plan& p) { p.copies = {copy}; }), "of its own tier");
}
TEST_F(ShadowExecutorTest, SeesARowThatWritesIntoAnothersBlock) {
  expect_names(fault_after([](Plan& p) { p.blocks[3] = 1; }), "request 1");
}
TEST_F(ShadowExecutorTest, SeesAGap) {
  expect_names(fault_after([](Plan& p) {
                 p.rows[0].first = 5;
                 p.rows[0].count = 1;
                 p.rows[0].tokens = {1, 2};
               }),
               "wrong KV at position 4");
}
TEST_F(ShadowExecutorTest, SeesOtherTokens) {
  expect_names(fault_after([](Plan& p) { p.tokens[0] = 49; }), "not the sequence's");
}
TEST_F(ShadowExecutorTest, SeesTooFewBlocks) {
  expect_names(fault_after([](Plan& p) { p.rows[0].blocks.end = 1; }), "only 1 blocks");
}
TEST_F(ShadowExecutorTest, SeesAHostBlockInATable) {
  expect_names(fault_after([](Plan& p) { p.blocks[0] = 6; }), "not the device's");
}
TEST_F(ShadowExecutorTest, SeesMoreTokensThanTheSequenceHas) {
  expect_names(fault_after([](Plan& p) {
                 p.tokens.push_back(1);
                 p.rows[1].count = 3;
                 p.rows[1].tokens.end = 5;
               }),
               "the sequence has 6");
}
TEST_F(ShadowExecutorTest, SeesARowOfNothingButDrafts) {
  expect_names(fault_after([](Plan& p) { p.rows[0].drafts = 2; }), "nothing to compute");
}

TEST(ShadowModel, MasksEndsBeforeTheMinimum) {
  const ShadowModel model(3);
  sched::Request request;
  request.stop.eos_ids = {0};
  request.stop.stop_token_ids = {1};
  request.stop.min_new_tokens = 1;
  for (PrefixHash prefix = 0; prefix < 20; ++prefix) {
    EXPECT_EQ(model.next(prefix, request, 0), 2);
  }
}

}  // namespace
}  // namespace erne::sim
