// The doors of the ops: what they refuse, what they count. A device that does nothing stands
// behind.
#include "backend/backend.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace erne {
namespace {

class IdleBackend final : public Backend {
 public:
  const char* name() const override { return "idle"; }
  DeviceBuffer allocate(size_t, Space) override { return {}; }
  MemoryInfo memory() const override { return {}; }
  const char* packed_order() const override { return "idle"; }
  size_t packed_bytes(const WeightFormat&, int64_t, int64_t) const override { return 0; }
  int calls = 0;

 private:
  void do_pack_rows(const Linear&, const TensorView&, int64_t) override { ++calls; }
  void do_pack_encoded(const Linear&, const EncodedRows&, int64_t) override { ++calls; }
  void do_embed(const Linear&, std::span<const int32_t>, TensorView) override { ++calls; }
  void do_rms_norm(TensorView, TensorView, float, TensorView) override { ++calls; }
  void do_add_rms_norm(TensorView, TensorView, TensorView, float, TensorView) override { ++calls; }
  void do_linear(const Linear&, TensorView, TensorView) override { ++calls; }
  void do_rope(TensorView, std::span<const int32_t>, TensorView, int, int) override { ++calls; }
  void do_kv_write(const KvWriteArgs&) override { ++calls; }
  void do_attention(const AttentionArgs&) override { ++calls; }
  void do_silu_mul(TensorView, TensorView) override { ++calls; }
  void do_add(TensorView, TensorView) override { ++calls; }
  void do_route(const RouteArgs&) override { ++calls; }
  int64_t do_experts(const ExpertsArgs&) override {
    ++calls;
    return 3;
  }
  void do_gather(TensorView, std::span<const int32_t>, TensorView) override { ++calls; }
  void do_copy_blocks(std::span<const KvLayerView>,
                      std::span<const std::pair<int32_t, int32_t>>) override {
    ++calls;
  }
};

class BackendDoor : public testing::Test {
 protected:
  // A view of so many float32 (or bfloat16) of memory that nobody reads.
  TensorView view(Shape shape, DType dtype = DType::kF32) { return {memory_, dtype, shape}; }
  Linear linear(int64_t out, int64_t in) {
    return {&plain_format(DType::kBf16), out, in, view({out, in}, DType::kBf16)};
  }
  KvLayerView kv() {
    return {.data = memory_,
            .block_stride_bytes = 4 * 2 * 2 * 8 * 16,
            .dtype = DType::kF32,
            .num_blocks = 4,
            .block_tokens = 8,
            .kv_heads = 2,
            .head_dim = 16};
  }
  char memory_[64];
  IdleBackend backend_;
};
using BackendDoorDeathTest = BackendDoor;

TEST_F(BackendDoor, CountsBytesAndOperations) {
  backend_.linear(linear(6, 4), view({3, 4}), view({3, 6}));
  EXPECT_EQ(backend_.counters().flops, 2 * 3 * 6 * 4);
  EXPECT_EQ(backend_.counters().bytes, 6 * 4 * 2 + 3 * 4 * 4 + 3 * 6 * 4);
  backend_.reset_counters();
  EXPECT_EQ(backend_.counters().bytes, 0);
  backend_.add(view({3, 4}, DType::kBf16), view({3, 4}, DType::kBf16));
  EXPECT_EQ(backend_.counters().bytes, 3 * 12 * 2);
}

TEST_F(BackendDoor, ExpertsCountTheWeightsThatWereReadAndTheRowsOfEachToken) {
  const std::vector<Linear> gate_up(5, linear(12, 4)), down(5, linear(4, 6));
  backend_.experts({.x = view({3, 4}),
                    .experts = view({3, 2}, DType::kI32),
                    .weights = view({3, 2}),
                    .gate_up = gate_up,
                    .down = down,
                    .y = view({3, 4}),
                    .add = false});
  EXPECT_EQ(backend_.counters().flops, 3 * 2 * (2 * 4 * 12 + 2 * 6 * 4 + 4 * 6));
  EXPECT_EQ(backend_.counters().bytes, 3 * (12 * 4 + 4 * 6) * 2 + 2 * 3 * 4 * 4 + 2 * 3 * 2 * 4);
}

TEST_F(BackendDoorDeathTest, ARouteHasAtMostAsManyExpertsAsThereAre) {
  EXPECT_DEATH(backend_.route({.logits = view({3, 4}),
                               .correction_bias = {},
                               .experts = view({3, 5}, DType::kI32),
                               .weights = view({3, 5}),
                               .norm_min = 0}),
               "route");
}

TEST_F(BackendDoor, AttentionCountsKeysBelowTheDiagonal) {
  const RaggedRow rows[] = {{0, 3, 5, 0}, {3, 1, 0, 1}};
  const int32_t blocks[] = {3, 2};
  const RaggedBatch batch{rows, blocks};
  backend_.attention({view({4, 64 + 64}), kv(), &batch, view({4, 64}), 1.0f});
  EXPECT_EQ(backend_.counters().flops, 4 * 64 * (6 + 7 + 8 + 1));
  EXPECT_EQ(backend_.counters().bytes, 2 * 9 * 32 * 4 + 2 * 4 * 64 * 4);
  EXPECT_EQ(backend_.calls, 1);
}

TEST_F(BackendDoor, NothingToDoIsNotPassedOn) {
  backend_.rms_norm(view({0, 4}), view({4}), 1e-5f, view({0, 4}));
  backend_.linear(linear(6, 4), view({0, 4}), view({0, 6}));
  const int32_t padding[] = {-1, -1};
  backend_.kv_write({view({2, 128}), kv(), padding});
  backend_.copy_blocks({}, {});
  EXPECT_EQ(backend_.calls, 0);
}

TEST_F(BackendDoorDeathTest, ShapesMustAgreeByName) {
  EXPECT_DEATH(backend_.rms_norm(view({3, 4}), view({5}), 0, view({3, 4})),
               "rms_norm.*weight: is \\[5\\], should be \\[H=4\\]");
  EXPECT_DEATH(backend_.add(view({3, 4}), view({3, 5})),
               "add.*h: is \\[3, 5\\], should be \\[T=3, H=4\\]");
  EXPECT_DEATH(backend_.linear(linear(6, 4), view({3, 5}), view({3, 6})),
               "linear.*x: is \\[3, 5\\], should be \\[T=3, in=4\\]");
  EXPECT_DEATH(backend_.silu_mul(view({3, 7}), view({3, 4})), "should be \\[T=3, 2I=8\\]");
  EXPECT_DEATH(backend_.add(view({12}), view({12})), "should be \\[T=-1, H=-1\\]|x: is \\[12\\]");
}

TEST_F(BackendDoorDeathTest, TypesMustAgree) {
  EXPECT_DEATH(backend_.add(view({3, 4}), view({3, 4}, DType::kBf16)),
               "h: is bfloat16, should be float32");
  EXPECT_DEATH(backend_.add(view({3, 4}, DType::kI32), view({3, 4}, DType::kI32)),
               "x: is int32, should be float32 or bfloat16");
  EXPECT_DEATH(backend_.linear(linear(6, 4), view({3, 4}), view({3, 6}, DType::kBf16)),
               "y: is bfloat16, should be float32");
  backend_.linear(linear(6, 4), view({3, 4}, DType::kBf16), view({3, 6}));  // logits
}

TEST_F(BackendDoorDeathTest, IndicesMustBeInRange) {
  const int32_t six[] = {6}, minus[] = {-1}, far[] = {kMaxPosition}, slot[] = {32}, below[] = {-2};
  EXPECT_DEATH(backend_.embed(linear(6, 4), six, view({1, 4})), "ids: holds 6.*\\[0, 6\\)");
  EXPECT_DEATH(backend_.gather(view({3, 4}), minus, view({1, 4})), "rows: holds -1");
  EXPECT_DEATH(backend_.rope(view({1, 48}), far, view({8}), 1, 1), "positions: holds 16777216");
  EXPECT_DEATH(backend_.kv_write({view({1, 128}), kv(), slot}), "slots: holds 32");
  EXPECT_DEATH(backend_.kv_write({view({1, 128}), kv(), below}), "slots: holds -2");
  const std::pair<int32_t, int32_t> copies[] = {{0, 4}};
  const KvLayerView layers[] = {kv()};
  EXPECT_DEATH(backend_.copy_blocks(layers, copies), "copies: holds 4");
}

TEST_F(BackendDoorDeathTest, RowsMustCoverTheTokensAndTheirBlocksThePositions) {
  const auto attend = [&](std::vector<RaggedRow> rows, std::vector<int32_t> blocks) {
    const RaggedBatch batch{rows, blocks};
    backend_.attention({view({4, 128}), kv(), &batch, view({4, 64}), 1.0f});
  };
  attend({{0, 4, 4, 0}}, {3});
  EXPECT_DEATH(attend({{0, 3, 0, 0}}, {3}), "the end of the last row: holds 3");
  EXPECT_DEATH(attend({{0, 2, 0, 0}, {1, 3, 0, 0}}, {3}), "first_token: holds 1");
  EXPECT_DEATH(attend({{0, 5, 0, 0}}, {3}), "num_tokens: holds 5");
  EXPECT_DEATH(attend({{0, 4, 5, 0}}, {3}), "first_block: holds 0");
  EXPECT_DEATH(attend({{0, 4, 4, 0}}, {4}), "blocks: holds 4");
  EXPECT_DEATH(attend({{0, 4, -1, 0}}, {3}), "first_position: holds -1");
}

}  // namespace
}  // namespace erne
