// The doors of the ops: what they refuse, what they count. A device that does nothing stands
// behind.
#include "backend/backend.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "backend/null_backend.h"

namespace erne {
namespace {

// Counts the calls that pass the door.
class CountingBackend final : public NullBackend {
 public:
  int calls = 0;

 private:
  void do_embed(const Linear&, const StagedIndices&, const DeviceView&) override { ++calls; }
  void do_rms_norm(const DeviceView&, const DeviceView&, float, const DeviceView&) override {
    ++calls;
  }
  void do_linear(const Linear&, const DeviceView&, const DeviceView&) override { ++calls; }
  void do_kv_write(const KvWriteArgs&) override { ++calls; }
  void do_attention(const AttentionArgs&) override { ++calls; }
  void do_experts(const ExpertsArgs& args) override {
    ++calls;
    count_expert_weights(args, 3);
  }
  void do_copy_out(DeviceSpan, std::span<std::byte>) override { ++calls; }
  void do_copy_in(std::span<const std::byte>, DeviceSpan) override { ++calls; }
};

class BackendDoor : public testing::Test {
 protected:
  // A view of so many float32 (or bfloat16) of memory that nobody reads.
  DeviceView view(Shape shape, DType dtype = DType::kF32) { return {memory_.data(), dtype, shape}; }
  Linear linear(int64_t out, int64_t in) {
    return {&plain_format(DType::kBf16), out, in, view({out, in}, DType::kBf16)};
  }
  StackedLinear experts(int64_t count, int64_t out, int64_t in) {
    return {.format = &plain_format(DType::kBf16),
            .count = count,
            .out = out,
            .in = in,
            .data = memory_.data(),
            .stride_bytes = out * in * 2};
  }
  KvLayerView kv() {
    return {.data = memory_.data(),
            .block_stride_bytes = 4 * 2 * 2 * 8 * 16,
            .dtype = DType::kF32,
            .num_blocks = 4,
            .block_tokens = 8,
            .kv_heads = 2,
            .head_dim = 16};
  }
  // Lists as they would be staged.
  StagedIndices indices(int64_t count, int64_t end) { return {view({count}, DType::kI32), end}; }
  StagedSlots slots(int64_t count, int64_t num_stored, int64_t end = 32) {
    return {view({count}, DType::kI32), end, num_stored};
  }
  CountingBackend backend_;
  DeviceBuffer memory_ = backend_.allocate(64);
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
  const StackedLinear gate_up = experts(5, 12, 4), down = experts(5, 4, 6);
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

TEST_F(BackendDoor, AttentionCountsWhatItsBatchSays) {
  const StagedBatch batch{
      .num_tokens = 4, .num_blocks = 4, .block_tokens = 8, .num_positions = 9, .num_pairs = 22};
  backend_.attention({view({4, 64 + 64}), kv(), &batch, view({4, 64}), 1.0f});
  EXPECT_EQ(backend_.counters().flops, 4 * 64 * 22);
  EXPECT_EQ(backend_.counters().bytes, 2 * 9 * 32 * 4 + 2 * 4 * 64 * 4);
  EXPECT_EQ(backend_.calls, 1);
}

TEST_F(BackendDoor, NothingToDoIsNotPassedOn) {
  backend_.rms_norm(view({0, 4}), view({4}), 1e-5f, view({0, 4}));
  backend_.linear(linear(6, 4), view({0, 4}), view({0, 6}));
  backend_.kv_write({view({0, 128}), kv(), slots(0, 0)});
  backend_.copy_out({memory_.data(), 0}, {});
  backend_.copy_in({}, {memory_.data(), 0});
  EXPECT_EQ(backend_.calls, 0);
}

// A graph that is recorded in such a step is repeated in steps that store.
TEST_F(BackendDoor, TokensThatAreNotStoredAreAnOpAllTheSame) {
  backend_.kv_write({view({2, 128}), kv(), slots(2, 0)});
  EXPECT_EQ(backend_.calls, 1);
  EXPECT_EQ(backend_.counters().bytes, 0);
}

TEST_F(BackendDoor, UploadsAndDownloadsWholeSpans) {
  const DeviceBuffer memory = backend_.allocate(8);
  const int32_t sent[] = {1, 2};
  int32_t got[] = {0, 0};
  backend_.upload(std::as_bytes(std::span(sent)), memory.span());
  backend_.download(memory.span(), std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(got[1], 2);
}

TEST_F(BackendDoor, CopiesCountWhatIsReadAndWhatIsWritten) {
  std::byte host[24];
  backend_.copy_out({memory_.data(), 24}, host);
  EXPECT_EQ(backend_.counters().bytes, 2 * 24);
  backend_.copy_in(host, {memory_.data(), 24});
  EXPECT_EQ(backend_.counters().bytes, 4 * 24);
  EXPECT_EQ(backend_.calls, 2);
}

TEST_F(BackendDoorDeathTest, CopiesMustHaveOneSize) {
  std::byte host[12];
  const DeviceSpan device{memory_.data(), 8};
  EXPECT_DEATH(backend_.upload(host, device), "from.size");
  EXPECT_DEATH(backend_.copy_in(host, device), "from.size");
  EXPECT_DEATH(backend_.copy_out(device, host), "from.bytes");
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

// What lists were checked against when they were staged is no more than there is.
TEST_F(BackendDoorDeathTest, StagedListsMustFitWhatTheyPointInto) {
  backend_.embed(linear(6, 4), indices(1, 6), view({1, 4}));
  EXPECT_DEATH(backend_.embed(linear(6, 4), indices(1, 7), view({1, 4})), "ids: holds 7");
  EXPECT_DEATH(backend_.embed(linear(6, 4), indices(2, 6), view({1, 4})), "ids: has 2 entries");
  EXPECT_DEATH(backend_.gather(view({3, 4}), indices(1, 4), view({1, 4})), "rows: holds 4");
  EXPECT_DEATH(backend_.rope(view({1, 48}), indices(1, kMaxPosition + 1), view({8}), 1, 1),
               "positions: holds 16777217");
  EXPECT_DEATH(backend_.kv_write({view({1, 128}), kv(), slots(1, 1, 33)}), "slots: holds 33");
  const auto attend = [&](const StagedBatch& batch) {
    backend_.attention({view({4, 128}), kv(), &batch, view({4, 64}), 1.0f});
  };
  EXPECT_DEATH(attend({.num_tokens = 3, .num_blocks = 4, .block_tokens = 8}), "has 3 entries");
  EXPECT_DEATH(attend({.num_tokens = 4, .num_blocks = 5, .block_tokens = 8}), "blocks: holds 5");
  EXPECT_DEATH(attend({.num_tokens = 4, .num_blocks = 4, .block_tokens = 16}), "block_tokens");
}

}  // namespace
}  // namespace erne
