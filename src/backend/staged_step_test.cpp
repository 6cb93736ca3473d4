// What a step's inputs are checked for, and that they arrive where they always are.
#include "backend/staged_step.h"

#include <gtest/gtest.h>

#include <vector>

#include "backend/null_backend.h"
#include "backend/readback.h"

namespace erne {
namespace {

constexpr StagingLimits kLimits = {.max_tokens = 6,
                                   .max_rows = 3,
                                   .max_table_blocks = 5,
                                   .max_logit_rows = 2,
                                   .num_token_ids = 10,
                                   .num_blocks = 4,
                                   .block_tokens = 8};

// Two rows: three tokens behind five that have KV, and the first token of another sequence.
struct HostStep {
  std::vector<int32_t> tokens = {9, 0, 3, 7}, positions = {5, 6, 7, 0}, slots = {29, 30, 31, -1};
  std::vector<RaggedRow> rows = {{0, 3, 5, 0}, {3, 1, 0, 1}};
  std::vector<int32_t> blocks = {3, 2};

  StepInputs inputs() const { return {tokens, positions, slots, rows, blocks}; }
};

class Staging : public testing::Test {
 protected:
  std::vector<int32_t> read(const DeviceView& view) {
    const auto values = Readback(backend_).read<int32_t>(view);
    return {values.begin(), values.end()};
  }
  NullBackend backend_;
  StagingArea area_{backend_, kLimits};
};
using StagingDeathTest = Staging;

TEST_F(Staging, EveryListArrives) {
  const HostStep host;
  const StagedStep step = area_.stage(host.inputs());
  EXPECT_EQ(step.num_tokens(), 4);
  EXPECT_EQ(read(step.tokens.values), host.tokens);
  EXPECT_EQ(read(step.positions.values), host.positions);
  EXPECT_EQ(read(step.slots.values), host.slots);
  EXPECT_EQ(read(step.batch.blocks), host.blocks);
  EXPECT_EQ(read(step.batch.rows), (std::vector<int32_t>{0, 3, 5, 0, 3, 1, 0, 1}));
  EXPECT_EQ(step.batch.num_rows(), 2);
  EXPECT_EQ(step.slots.num_stored, 3);
  EXPECT_EQ(step.batch.num_positions, 8 + 1);
  EXPECT_EQ(step.batch.num_pairs, 6 + 7 + 8 + 1);
  EXPECT_EQ(step.tokens.end, 10);
  EXPECT_EQ(step.slots.end, 32);
  const std::vector<int32_t> wanted = {3, 0};
  const StagedIndices rows = area_.stage_logit_rows(wanted, 4);
  EXPECT_EQ(read(rows.values), wanted);
  EXPECT_EQ(read(step.tokens.values), host.tokens) << "the lists lie apart";
}

// A captured graph holds them; it repeats steps of as many tokens and rows.
TEST_F(Staging, StepsOfEqualSizesHaveEqualAddresses) {
  HostStep host;
  const StagedStep first = area_.stage(host.inputs());
  host.tokens[0] = 1, host.rows = {{0, 3, 13, 0}, {3, 1, 0, 2}}, host.blocks = {3, 2, 1};
  const StagedStep second = area_.stage(host.inputs());
  EXPECT_EQ(first.tokens.values.data, second.tokens.values.data);
  EXPECT_EQ(first.positions.values.data, second.positions.values.data);
  EXPECT_EQ(first.slots.values.data, second.slots.values.data);
  EXPECT_EQ(first.batch.rows.data, second.batch.rows.data);
  EXPECT_EQ(first.batch.blocks.data, second.batch.blocks.data);
  EXPECT_EQ(read(second.tokens.values), host.tokens);
  EXPECT_EQ(read(second.batch.blocks), host.blocks);
}

TEST(StagingUploads, AreOneForAllListsOfAStep) {
  struct CountingBackend : NullBackend {
    void do_upload(std::span<const std::byte> from, DeviceSpan to) override {
      ++uploads;
      NullBackend::do_upload(from, to);
    }
    int uploads = 0;
  } backend;
  StagingArea area(backend, kLimits);
  area.stage(HostStep().inputs());
  EXPECT_EQ(backend.uploads, 1);
}

// Stages the step after a change that must be refused.
template <class Change>
void stage_changed(StagingArea& area, const Change& change) {
  HostStep host;
  change(host);
  area.stage(host.inputs());
}

TEST_F(StagingDeathTest, NumbersMustBeInRange) {
  const auto stage = [&](auto change) { stage_changed(area_, change); };
  EXPECT_DEATH(stage([](HostStep& s) { s.tokens[3] = 10; }), "tokens: holds 10.*\\[0, 10\\)");
  EXPECT_DEATH(stage([](HostStep& s) { s.tokens[0] = -1; }), "tokens: holds -1");
  EXPECT_DEATH(stage([](HostStep& s) { s.positions[0] = kMaxPosition; }), "positions: holds");
  EXPECT_DEATH(stage([](HostStep& s) { s.slots[2] = 32; }), "slots: holds 32");
  EXPECT_DEATH(stage([](HostStep& s) { s.slots[2] = -2; }), "slots: holds -2");
  EXPECT_DEATH(stage([](HostStep& s) { s.blocks[1] = 4; }), "blocks: holds 4");
  const int32_t below[] = {-1}, beyond[] = {4};
  EXPECT_DEATH(area_.stage_logit_rows(below, 4), "rows: holds -1");
  EXPECT_DEATH(area_.stage_logit_rows(beyond, 4), "rows: holds 4");
  constexpr TokenDraw kDraw{1, kFarthest, 1, TokenDraw::kWholePart, 0};
  const auto draw = [&](auto change) {
    TokenDraw changed = kDraw;
    change(changed);
    area_.stage_draws({&changed, 1});
  };
  draw([](TokenDraw&) {});
  EXPECT_DEATH(draw([](TokenDraw& d) { d.end_distance = 0; }), "end_distance: holds 0");
  EXPECT_DEATH(draw([](TokenDraw& d) { d.end_distance = kFarthest + 1; }), "end_distance: holds");
  EXPECT_DEATH(draw([](TokenDraw& d) { d.top_k = 0; }), "top_k: holds 0");
  EXPECT_DEATH(draw([](TokenDraw& d) { ++d.top_p; }), "draw.top_p");
}

TEST_F(StagingDeathTest, RowsMustCoverTheTokensAndTheirBlocksThePositions) {
  const auto stage = [&](std::vector<RaggedRow> rows) {
    stage_changed(area_, [&](HostStep& s) { s.rows = std::move(rows); });
  };
  stage({{0, 4, 12, 0}});
  EXPECT_DEATH(stage({{0, 3, 0, 0}}), "the end of the last row: holds 3");
  EXPECT_DEATH(stage({{0, 2, 0, 0}, {1, 3, 0, 0}}), "first_token: holds 1");
  EXPECT_DEATH(stage({{0, 5, 0, 0}}), "num_tokens: holds 5");
  EXPECT_DEATH(stage({{0, 4, 13, 0}}), "first_block: holds 0");
  EXPECT_DEATH(stage({{0, 4, 5, 1}}), "first_block: holds 1");
  EXPECT_DEATH(stage({{0, 4, -1, 0}}), "first_position: holds -1");
}

TEST_F(StagingDeathTest, EveryListHasRoomForTheLimitsOnly) {
  const auto stage = [&](auto change) { stage_changed(area_, change); };
  EXPECT_DEATH(stage([](HostStep& s) { s.positions.pop_back(); }), "num_tokens");
  EXPECT_DEATH(stage([](HostStep& s) { s.slots.push_back(1); }), "num_tokens");
  EXPECT_DEATH(stage([](HostStep& s) { s.blocks = {0, 1, 2, 3, 0, 1}; }), "blocks: holds 6");
  const int32_t three[] = {0, 1, 2};
  EXPECT_DEATH(area_.stage_logit_rows(three, 4), "rows: holds 3");
  const std::vector<TokenDraw> three_draws(3, {0, 1, 1, 0, 0});
  EXPECT_DEATH(area_.stage_draws(three_draws), "draws: holds 3");
}

}  // namespace
}  // namespace erne
