#include "weights/weight_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/readback.h"
#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

// Every element is 1 + 2^-10, which bfloat16 rounds to 1.
class OddSource final : public WeightSource {
 public:
  explicit OddSource(DType stored) : stored_(stored) {}
  Result<DType> stored_dtype(const TensorSpec&) override { return stored_; }
  Result<void> read_rows(const TensorSpec&, int64_t, TensorView out) override {
    for (int64_t i = 0; i < out.elements(); ++i)
      if (out.dtype == DType::kF32)
        out.as<float>()[i] = 1.0f + 1.0f / 1024;
      else
        out.as<Bf16>()[i] = to_bf16(1.0f);
    return {};
  }
  std::string identity() const override { return "odd"; }
  uint64_t fingerprint() const override { return 0; }

 private:
  DType stored_;
};

class FailingSource final : public WeightSource {
 public:
  Result<DType> stored_dtype(const TensorSpec&) override { return DType::kBf16; }
  Result<void> read_rows(const TensorSpec& spec, int64_t, TensorView) override {
    if (spec.name == "norm") return invalid("unreadable", spec.name);
    return {};
  }
  std::string identity() const override { return "failing"; }
  uint64_t fingerprint() const override { return 0; }
};

std::vector<TensorSpec> packed_and_kept() {
  return {{"small", TensorKind::kLinear, {8, 16}, {{"s", 8}}},
          {"large", TensorKind::kTable, {64, 16}, {{"l", 64}}},
          {"norm", TensorKind::kVector, {16}, {{"n", 16}}}};
}

TEST(WeightStore, holds_packed_weights_and_a_run_of_rows_as_read) {
  // 2 MB of rows at a time; `large` is three such runs and a bit.
  const int64_t columns = 4096, run = 256, rows = 3 * run + 7;
  const std::vector<TensorSpec> specs = {
      {"small", TensorKind::kLinear, {8, columns}, {{"s", 8}}},
      {"large", TensorKind::kTable, {rows, columns}, {{"l", rows}}},
      {"norm", TensorKind::kVector, {columns}, {{"n", columns}}}};
  const size_t held = (8 + rows + 1) * columns * 2, staged = run * columns * 2;
  MemoryBackend backend;
  RandomSource source(7);
  std::vector<size_t> progress;
  const LoadOptions options{DType::kBf16, [&](size_t done, size_t total) {
                              EXPECT_EQ(total, 3u);
                              progress.push_back(done);
                            }};
  {
    const auto store = load_weights(backend, source, specs, options);
    ASSERT_TRUE(store);
    EXPECT_EQ(store->bytes(), held);
    EXPECT_EQ(backend.live_bytes(), held);
    EXPECT_EQ(backend.peak_bytes, held + staged);
    EXPECT_EQ(progress, (std::vector<size_t>{1, 2, 3}));
    EXPECT_EQ(store->linear("large").out, rows);
    EXPECT_EQ(store->vector("norm").shape, Shape{columns});

    std::vector<Bf16> whole(rows * columns);
    ASSERT_TRUE(source.read(specs[1], {whole.data(), DType::kBf16, specs[1].shape}));
    const auto large = Readback(backend).read(store->linear("large").data.span());
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(whole)), large));
  }
  EXPECT_EQ(backend.live_bytes(), 0u);
}

TEST(WeightStore, matrices_stay_as_stored_unless_activations_are_narrower) {
  const struct {
    DType stored, activation, matrix;
    float value;
  } cases[] = {{DType::kF32, DType::kF32, DType::kF32, 1.0f + 1.0f / 1024},
               {DType::kF32, DType::kBf16, DType::kBf16, 1.0f},
               {DType::kBf16, DType::kF32, DType::kBf16, 1.0f},
               {DType::kBf16, DType::kBf16, DType::kBf16, 1.0f}};
  for (const auto& c : cases) {
    MemoryBackend backend;
    OddSource source(c.stored);
    const auto store = load_weights(backend, source, packed_and_kept(), {c.activation});
    ASSERT_TRUE(store);
    const Linear& linear = store->linear("small");
    EXPECT_EQ(linear.data.dtype, c.matrix);
    EXPECT_EQ(linear.format->stored, c.matrix);
    Readback readback(backend);
    EXPECT_EQ(c.matrix == DType::kF32 ? readback.read<float>(linear.data)[5]
                                      : to_float(readback.read<Bf16>(linear.data)[5]),
              c.value);
    EXPECT_EQ(store->vector("norm").dtype, c.activation);
  }
}

TEST(WeightStore, a_format_covers_linears_and_the_tables_only_if_it_says_so) {
  for (const char* name : {"wint8", "wint4_g128"}) {
    const WeightFormat* format = find_weight_format(name);
    MemoryBackend backend;
    RandomSource source(7);
    LoadOptions options;
    options.quantization = {"", format, nullptr};
    options.quantize_activations = true;
    const auto store = load_weights(backend, source, packed_and_kept(), options);
    ASSERT_TRUE(store);
    EXPECT_EQ(store->linear("small").format, format);
    EXPECT_EQ(store->linear("small").input, LinearInput::kInt8);
    const WeightFormat* of_table = format->covers_tables ? format : &plain_format(DType::kBf16);
    EXPECT_EQ(store->linear("large").format, of_table) << name;
  }
}

TEST(WeightStore, a_failure_frees_everything_and_names_the_tensor) {
  MemoryBackend backend;
  FailingSource source;
  const auto store = load_weights(backend, source, packed_and_kept(), {});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.status().param, "norm");
  EXPECT_EQ(backend.live_bytes(), 0u);
}

// A file may hold anything: what is used as one must lie together.
TEST(WeightStore, a_mapped_member_that_lies_elsewhere_is_refused) {
  const std::vector<TensorSpec> specs = {
      {.name = "0", .shape = {8, 16}, .parts = {{"a", 8}}, .member = {"stack", 0, 2}},
      {.name = "1", .shape = {8, 16}, .parts = {{"b", 8}}, .member = {"stack", 1, 2}}};
  MemoryBackend backend;
  RandomSource source(7);
  const auto plans = plan_weights(backend, source, specs, {}).value();
  alignas(64) std::byte file[3 * 8 * 16 * 2] = {};
  for (const size_t gap : {0, 64, 256}) {
    WeightStore store(nullptr, plans, false);
    ASSERT_TRUE(store.add_in_place(backend, plans[0], std::span(file).first(256)));
    const auto second =
        store.add_in_place(backend, plans[1], std::span(file).subspan(256 + gap, 256));
    EXPECT_EQ(second.ok(), gap == 0) << gap;
    EXPECT_EQ(second.ok() ? "1" : second.status().param, "1");
  }
}

TEST(RandomSource, depends_on_seed_name_and_index_alone) {
  const TensorSpec spec{"w", TensorKind::kLinear, {40, 100}, {{"w", 40}}};
  const auto draw = [&](uint64_t seed, const std::string& name) {
    TensorSpec named = spec;
    named.name = name;
    std::vector<float> out(4000);
    RandomSource source(seed);
    EXPECT_TRUE(source.read(named, {out.data(), DType::kF32, spec.shape}));
    return out;
  };
  const std::vector<float> values = draw(1, "w");
  EXPECT_EQ(values, draw(1, "w"));
  EXPECT_NE(values, draw(2, "w"));
  EXPECT_NE(values, draw(1, "v"));

  std::vector<Bf16> narrow(4000);
  RandomSource source(1);
  ASSERT_TRUE(source.read(spec, {narrow.data(), DType::kBf16, spec.shape}));
  double sum = 0, squares = 0;
  for (int i = 0; i < 4000; ++i) {
    EXPECT_EQ(values[i], to_float(narrow[i]));
    sum += values[i];
    squares += values[i] * values[i];
  }
  EXPECT_NEAR(sum / 4000, 0.0, 4 * 0.1 / std::sqrt(4000));  // within four standard errors
  EXPECT_NEAR(squares / 4000, 0.01, 0.001);                 // variance 1 / 100
}

}  // namespace
}  // namespace erne::weights
