#include "exec/step_staging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::exec {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kBlockTokens = 4;

// A chunk of three tokens behind six that have KV, in blocks 9, 2 and 5; and the first token of
// another sequence, in block 7.
sched::BatchPlan two_rows() {
  sched::BatchPlan plan;
  plan.tokens = {11, 12, 13, 21};
  plan.blocks = {9, 2, 5, 7};
  plan.rows = {{.first = 6, .count = 3, .tokens = {0, 3}, .blocks = {0, 3}},
               {.first = 0, .count = 1, .tokens = {3, 4}, .blocks = {3, 4}}};
  return plan;
}

TEST(StepStaging, APositionsSlotLiesInItsBlock) {
  StepStaging staging(kBlockTokens);
  const sched::BatchPlan plan = two_rows();
  const StepInputs inputs = staging.stage(plan);
  EXPECT_THAT(inputs.tokens, ElementsAre(11, 12, 13, 21));
  EXPECT_THAT(inputs.positions, ElementsAre(6, 7, 8, 0));
  EXPECT_THAT(inputs.slots, ElementsAre(2 * 4 + 2, 2 * 4 + 3, 5 * 4 + 0, 7 * 4 + 0));
  EXPECT_THAT(inputs.blocks, ElementsAre(9, 2, 5, 7));
}

TEST(StepStaging, ARowSaysWhereItsTokensAndBlocksBegin) {
  StepStaging staging(kBlockTokens);
  const sched::BatchPlan plan = two_rows();
  const StepInputs inputs = staging.stage(plan);
  ASSERT_EQ(inputs.rows.size(), 2u);
  const RaggedRow &chunk = inputs.rows[0], &decode = inputs.rows[1];
  EXPECT_EQ(chunk.first_token, 0);
  EXPECT_EQ(chunk.num_tokens, 3);
  EXPECT_EQ(chunk.first_position, 6);
  EXPECT_EQ(chunk.first_block, 0);
  EXPECT_EQ(decode.first_token, 3);
  EXPECT_EQ(decode.num_tokens, 1);
  EXPECT_EQ(decode.first_position, 0);
  EXPECT_EQ(decode.first_block, 3);
}

// Drafts are tokens like others: they have positions and slots, behind the verified one.
TEST(StepStaging, DraftsFollowTheirRowsToken) {
  StepStaging staging(kBlockTokens);
  sched::BatchPlan plan;
  plan.tokens = {1, 2, 3};
  plan.blocks = {0, 6};
  plan.rows = {{.first = 3, .count = 3, .drafts = 2, .tokens = {0, 3}, .blocks = {0, 2}}};
  const StepInputs inputs = staging.stage(plan);
  EXPECT_THAT(inputs.positions, ElementsAre(3, 4, 5));
  EXPECT_THAT(inputs.slots, ElementsAre(3, 24, 25));
}

TEST(StepStaging, NothingOfTheLastStepIsLeft) {
  StepStaging staging(kBlockTokens);
  const sched::BatchPlan plan = two_rows();
  staging.stage(plan);
  const sched::BatchPlan empty;
  const StepInputs inputs = staging.stage(empty);
  EXPECT_THAT(inputs.positions, IsEmpty());
  EXPECT_THAT(inputs.slots, IsEmpty());
  EXPECT_THAT(inputs.rows, IsEmpty());
}

TEST(StepStagingDeathTest, ARowsBlocksMustReachItsLastPosition) {
  StepStaging staging(kBlockTokens);
  sched::BatchPlan plan = two_rows();
  plan.rows[0].blocks = {0, 2};
  EXPECT_DEATH(staging.stage(plan), "row.blocks.end");
}

}  // namespace
}  // namespace erne::exec
