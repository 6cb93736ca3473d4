#include "bench/ops_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "backend/null_backend.h"
#include "bench/manual_clock_fixture.h"

namespace erne::bench {
namespace {

using testing::HasSubstr;

// Does nothing but check shapes (the public ops do) and let time pass: `us_per_row` for each row.
class SlowBackend final : public NullBackend {
 public:
  SlowBackend(ManualClock& clock, int64_t us_per_row) : clock_(clock), us_per_row_(us_per_row) {}

  const char* name() const override { return "slow"; }

  std::set<DevicePointer> weights_used;
  std::set<int32_t> blocks_used;
  int64_t num_calls = 0;

 private:
  void pass(int64_t rows) {
    ++num_calls;
    clock_.advance(rows * us_per_row_);
  }
  void do_embed(const Linear&, const StagedIndices&, const DeviceView& x) override {
    pass(x.shape[0]);
  }
  void do_rms_norm(const DeviceView& x, const DeviceView&, float, const DeviceView&) override {
    pass(x.shape[0]);
  }
  void do_add_rms_norm(const DeviceView& x, const DeviceView&, const DeviceView&, float,
                       const DeviceView&) override {
    pass(x.shape[0]);
  }
  void do_linear(const Linear& w, const DeviceView& x, const DeviceView&) override {
    weights_used.insert(w.data.data);
    pass(x.shape[0]);
  }
  void do_rope(const DeviceView& qkv, const StagedIndices&, const DeviceView&, int, int) override {
    pass(qkv.shape[0]);
  }
  void do_kv_write(const KvWriteArgs& args) override { pass(args.qkv.shape[0]); }
  void do_rope_kv_write(const KvWriteArgs& args, const StagedIndices&, const DeviceView&,
                        int) override {
    pass(args.qkv.shape[0]);
  }
  void do_attention(const AttentionArgs& args) override {
    const auto* rows = DeviceAccess::pointer<const RaggedRow>(args.batch->rows.data);
    const auto* blocks = DeviceAccess::pointer<const int32_t>(args.batch->blocks.data);
    for (int64_t row = 0; row < args.batch->num_rows(); ++row)
      blocks_used.insert(blocks[rows[row].first_block]);
    pass(args.qkv.shape[0]);
  }
  void do_silu_mul(const DeviceView&, const DeviceView& y) override { pass(y.shape[0]); }
  void do_add(const DeviceView& x, const DeviceView&) override { pass(x.shape[0]); }
  void do_gather(const DeviceView&, const StagedIndices&, const DeviceView& y) override {
    pass(y.shape[0]);
  }
  bool samples() const override { return true; }
  void do_sample(const SampleArgs& args) override { pass(args.logits.shape[0]); }
  void do_copy_out(DeviceSpan, std::span<std::byte>) override { pass(1); }
  void do_copy_in(std::span<const std::byte>, DeviceSpan) override { pass(1); }

  ManualClock& clock_;
  int64_t us_per_row_;
};

constexpr OpShapes kTiny = {.hidden = 32,
                            .heads = 4,
                            .kv_heads = 2,
                            .head_dim = 16,
                            .intermediate = 48,
                            .vocab = 64,
                            .context = 40,
                            .block_tokens = 16};
constexpr CaseOptions kTinyCases = {
    .shapes = kTiny, .activations = DType::kBf16, .max_rows = 20, .streamed_bytes = 1 << 16};

TEST(OpCases, EveryOpTakesEveryNumberOfRows) {
  for (const std::string& name : op_names()) {
    ManualClock clock;
    SlowBackend backend(clock, 1);
    const OpCase op = make_op_case(name, backend, kTinyCases);
    EXPECT_EQ(op.name, name);
    backend.num_calls = 0;  // without those that filled the KV
    for (int64_t rows = 1; rows <= kTinyCases.max_rows; ++rows) {
      for (int64_t turn = 0; turn < 100; ++turn) op.run(rows, turn);  // shapes are checked inside
      backend.reset_counters();
      op.run(rows, 3);
      EXPECT_GT(backend.counters().bytes, 0) << name;
      EXPECT_LE(op.cold_bytes(rows), backend.counters().bytes) << name << " with " << rows;
    }
    EXPECT_EQ(backend.num_calls, kTinyCases.max_rows * 101);
  }
}

TEST(OpCases, GoRoundTheCopies) {
  ManualClock clock;
  SlowBackend backend(clock, 1);
  const OpCase linear = make_op_case("linear_down", backend, kTinyCases);
  for (int64_t turn = 0; turn < 100; ++turn) linear.run(1, turn);
  EXPECT_EQ(backend.weights_used.size(), (1u << 16) / (32 * 48 * 2));

  CaseOptions few_rows = kTinyCases;
  few_rows.max_rows = 4;
  const OpCase attention = make_op_case("attention_decode", backend, few_rows);
  for (int64_t turn = 0; turn < 100; ++turn) attention.run(1, turn);
  const int64_t sequence_bytes = 40 * 2 * 2 * 16 * 2;
  EXPECT_EQ(std::ssize(backend.blocks_used), (1 << 16) / sequence_bytes);
  EXPECT_EQ(attention.cold_bytes(3), 3 * sequence_bytes);
}

TEST(TimeOp, TakesTheTimeOfOneCall) {
  ManualClock clock;
  SlowBackend backend(clock, 7);
  const OpCase op = make_op_case("linear_down", backend, kTinyCases);
  const OpTiming timing = time_op(backend, op, 3, 50'000, clock);
  EXPECT_EQ(timing.us, 21);
  EXPECT_EQ(timing.best_us, 21);
  EXPECT_EQ(timing.rows, 3);
  EXPECT_EQ(timing.flops, 2 * 3 * 32 * 48);
  EXPECT_EQ(timing.cold_bytes, 32 * 48 * 2);
  EXPECT_EQ(timing.bytes, 32 * 48 * 2 + 3 * (32 + 48) * 2);
}

TEST(TimeOp, StopsSoonAtASlowOp) {
  ManualClock clock;
  SlowBackend backend(clock, 3'000'000);
  const OpCase op = make_op_case("add", backend, kTinyCases);
  EXPECT_EQ(time_op(backend, op, 1, 200'000, clock).us, 3'000'000);
  EXPECT_EQ(backend.num_calls, 3);  // warm-up, calibration, one batch
}

TEST(SetFloor, TakesTheTightestBound) {
  MachineLimits limits;
  limits.bandwidth = {{2, 1000, 100, 100}, {2, 1'000'000, 10, 10}};
  limits.compute = {{Arithmetic::kFloat32, "", 2, 50, 50}};
  OpTiming timing;
  timing.us = 1000;
  timing.bytes = timing.cold_bytes = 1'000'000;
  set_floor(timing, limits, 2);
  EXPECT_STREQ(timing.bound, "memory");
  EXPECT_DOUBLE_EQ(timing.floor_us, 100);
  EXPECT_DOUBLE_EQ(timing.over_floor(), 10);

  timing.flops = 10'000'000;
  set_floor(timing, limits, 2);
  EXPECT_STREQ(timing.bound, "compute");
  EXPECT_DOUBLE_EQ(timing.floor_us, 200);

  timing.cold_bytes = timing.flops = 0;
  timing.bytes = 10'000;
  set_floor(timing, limits, 2);
  EXPECT_STREQ(timing.bound, "cache");
  EXPECT_DOUBLE_EQ(timing.floor_us, 0.1);

  timing.cold_bytes = 1000;  // 0.1 us from memory, and 0.2 us for the rest
  timing.bytes = 21'000;
  set_floor(timing, limits, 2);
  EXPECT_DOUBLE_EQ(timing.floor_us, 0.2);
}

TEST(OpsBench, RefusesArgumentsByName) {
  const auto refused = [](auto change) {
    OpsBenchOptions options;
    change(options);
    const auto checked = check(options);
    return checked.ok() ? "accepted" : checked.status().param;
  };
  EXPECT_EQ(refused([](auto&) {}), "accepted");
  EXPECT_EQ(refused([](auto& o) { o.ops = {"add", "nonsense"}; }), "ops");
  EXPECT_EQ(refused([](auto& o) { o.rows = {0}; }), "rows");
  EXPECT_EQ(refused([](auto& o) { o.rows = {1, 1'000'000}; }), "rows");
  EXPECT_EQ(refused([](auto& o) { o.rows = {}; }), "rows");
  EXPECT_EQ(refused([](auto& o) { o.threads = -1; }), "threads");
  EXPECT_EQ(refused([](auto& o) { o.dtype = "float16"; }), "dtype");
  EXPECT_EQ(refused([](auto& o) { o.kv_cache_dtype = "int4"; }), "kv-cache-dtype");
  EXPECT_EQ(refused([](auto& o) { o.shapes.context = 0; }), "context");
}

}  // namespace
}  // namespace erne::bench
