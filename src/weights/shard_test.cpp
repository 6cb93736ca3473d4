// Whatever a model's list says of its shares, the ranks' parts must make up the whole. The lists of
// real architectures are cut in model/tensor_specs_test.cpp.
#include "weights/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

using testing::HasSubstr;

constexpr int64_t kRows = 12, kColumns = 256;

TensorSpec spec_of(Shard shard) {
  return {.name = "w", .shape = {kRows, kColumns}, .parts = {{"a", 8}, {"b", 4}}, .shard = shard};
}

// Codes and scales say which row and column they belong to.
class CodedSource final : public WeightSource {
 public:
  Result<DType> stored_dtype(const TensorSpec&) override { return DType::kBf16; }
  bool is_quantized(const TensorSpec&) const override { return true; }
  bool has_codes_of(const TensorSpec&, const WeightFormat&) const override { return true; }
  Result<void> read_rows(const TensorSpec& spec, int64_t first, TensorView out) override {
    return RandomSource(1).read_rows(spec, first, out);
  }
  Result<void> read_encoded(const TensorSpec& spec, int64_t first, EncodedRows& out) override {
    EXPECT_EQ(out.in, spec.shape[1]);
    fill(out.codes, out.num_codes, first);
    fill(out.scales, out.num_scales, first);
    return {};
  }
  std::string identity() const override { return "coded\n"; }
  uint64_t fingerprint() const override { return 7; }

 private:
  template <class T>
  static void fill(std::vector<T>& values, int64_t size, int64_t first) {
    for (int64_t i = 0; i < std::ssize(values); ++i)
      values[i] = static_cast<T>((first + i / size) * 17 + i % size * 3);
  }
};

// The row of the whole that is row `row` of a rank's share.
int64_t whole_row(const TensorSpec& whole, Rank rank, int64_t row) {
  if (whole.shard.kind != Shard::kRows) return row;
  int64_t begin = 0;
  for (const TensorPart& part : whole.parts) {
    const int64_t rows = part.rows / rank.count;
    if (row < rows) return begin + rank.index * rows + row;
    row -= rows;
    begin += part.rows;
  }
  return -1;
}

constexpr Shard::Kind kKinds[] = {Shard::kWhole, Shard::kRows, Shard::kColumns};

TEST(Shard, SharesOfValuesMakeUpTheWhole) {
  for (const Shard::Kind kind : kKinds)
    for (const int ranks : {1, 2, 4}) {
      const TensorSpec whole = spec_of({kind});
      RandomSource source(1);
      std::vector<float> all(kRows * kColumns);
      ASSERT_TRUE(source.read(whole, {all.data(), DType::kF32, whole.shape}));
      for (int index = 0; index < ranks; ++index) {
        const Rank rank{index, ranks};
        const TensorSpec share = share_of({&whole, 1}, rank).value()[0];
        ShardedSource sharded(source, {&whole, 1}, rank);
        const int64_t columns = share.shape[1];
        const int64_t first_column = kind == Shard::kColumns ? index * columns : 0;
        for (int64_t first = 0; first < share.shape[0]; first += 3) {  // across the parts' ends
          const int64_t count = std::min<int64_t>(3, share.shape[0] - first);
          std::vector<float> got(count * columns);
          ASSERT_TRUE(sharded.read_rows(share, first, {got.data(), DType::kF32, {count, columns}}));
          for (int64_t i = 0; i < std::ssize(got); ++i) {
            const int64_t row = whole_row(whole, rank, first + i / columns);
            ASSERT_EQ(got[i], all[row * kColumns + first_column + i % columns]);
          }
        }
      }
    }
}

// The weights that codes and scales stand for, row by row.
std::vector<float> decoded(const EncodedRows& rows) {
  std::vector<float> out(rows.count * rows.in);
  for (int64_t row = 0; row < rows.count; ++row)
    rows.format->rules().decode(rows, row, std::span(out).subspan(row * rows.in, rows.in));
  return out;
}

TEST(Shard, SharesOfCodesMakeUpTheWhole) {
  for (const WeightFormat& format : weight_formats())
    for (const Shard::Kind kind : kKinds)
      for (const int index : {0, 1}) {
        if (!format.is_quantized()) continue;
        SCOPED_TRACE(std::string(format.name) + ", rank " + std::to_string(index));
        const Rank rank{index, 2};
        const TensorSpec whole = spec_of({kind});
        const TensorSpec share = share_of({&whole, 1}, rank).value()[0];
        CodedSource source;
        ShardedSource sharded(source, {&whole, 1}, rank);
        ASSERT_TRUE(sharded.has_codes_of(share, format));
        EncodedRows all(format, kRows, kColumns), part(format, share.shape[0], share.shape[1]);
        ASSERT_TRUE(source.read_encoded(whole, 0, all));
        ASSERT_TRUE(sharded.read_encoded(share, 0, part));
        const std::vector<float> expected = decoded(all), got = decoded(part);
        const int64_t first_column = kind == Shard::kColumns ? index * part.in : 0;
        for (int64_t i = 0; i < std::ssize(got); ++i) {
          const int64_t row = whole_row(whole, rank, i / part.in);
          const float w = expected[row * kColumns + first_column + i % part.in];
          ASSERT_TRUE(got[i] == w || (got[i] != got[i] && w != w)) << i;
        }
      }
}

TEST(Shard, CodesOfHalfAGroupAreNotTakenAsTheyAre) {
  const TensorSpec whole = spec_of({Shard::kColumns});
  const Rank rank{1, 4};  // 64 columns each
  const TensorSpec share = share_of({&whole, 1}, rank).value()[0];
  CodedSource source;
  const ShardedSource sharded(source, {&whole, 1}, rank);
  EXPECT_FALSE(sharded.has_codes_of(share, *find_weight_format("wint4_g128")));
  EXPECT_FALSE(sharded.has_codes_of(share, *find_weight_format("block_wise_fp8")));
  EXPECT_TRUE(sharded.has_codes_of(share, *find_weight_format("wint2")));
  EXPECT_TRUE(sharded.has_codes_of(share, *find_weight_format("wint8")));
  const ShardedSource first(source, {&whole, 1}, {0, 4});
  EXPECT_TRUE(first.has_codes_of(share, *find_weight_format("wint4_g128")));
}

TEST(Shard, WhatHasNoEqualSharesIsRefusedByName) {
  for (const auto& [shard, what] : {std::pair<Shard, const char*>{{Shard::kRows, 3}, "rows"},
                                    {{Shard::kColumns, 100}, "columns"}}) {
    const TensorSpec whole = spec_of(shard);
    const auto refused = share_of({&whole, 1}, {0, 2});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().param, "w");
    EXPECT_THAT(refused.status().message, HasSubstr(what));
  }
}

TEST(Shard, ALoaderTakesASharesListAndSource) {
  const TensorSpec whole = spec_of({Shard::kColumns});
  MemoryBackend backend;
  RandomSource source(1);
  const Rank rank{1, 2};
  const std::vector<TensorSpec> share = share_of({&whole, 1}, rank).value();
  ShardedSource sharded(source, {&whole, 1}, rank);
  const auto store = load_weights(backend, sharded, share, {});
  ASSERT_TRUE(store);
  EXPECT_EQ(store->linear("w").in, kColumns / 2);
  EXPECT_NE(sharded.fingerprint(), source.fingerprint());
}

}  // namespace
}  // namespace erne::weights
