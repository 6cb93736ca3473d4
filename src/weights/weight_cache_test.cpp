#include "weights/weight_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "backend/readback.h"
#include "weights/checkpoint_fixture.h"
#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

const std::vector<TensorSpec> kSpecs = {{"matrix", TensorKind::kLinear, {200, 24}, {{"m", 200}}},
                                        {"table", TensorKind::kTable, {30, 24}, {{"t", 30}}},
                                        {"norm", TensorKind::kVector, {24}, {{"n", 24}}}};

// Counts what is asked of it.
class CountingSource final : public WeightSource {
 public:
  explicit CountingSource(uint64_t seed) : source_(seed) {}
  Result<DType> stored_dtype(const TensorSpec& spec) override { return source_.stored_dtype(spec); }
  Result<void> read_rows(const TensorSpec& spec, int64_t first_row, TensorView out) override {
    ++reads;
    return source_.read_rows(spec, first_row, out);
  }
  std::string identity() const override { return source_.identity(); }
  int reads = 0;

 private:
  RandomSource source_;
};

class WeightCacheTest : public testing::Test {
 protected:
  std::filesystem::path cache() const { return folder_.path() / "made" / "when needed"; }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator(cache()))
      out.push_back(entry.path());
    return out;
  }
  // Loads from a source of this seed, and returns how often the source was read.
  int load(uint64_t seed = 1, const LoadOptions& options = {}) {
    CountingSource source(seed), plain(seed);
    const auto cached = load_cached_weights(backend_, source, kSpecs, options, cache());
    const auto packed = load_weights(backend_, plain, kSpecs, options);
    if (!cached.ok()) {
      ADD_FAILURE() << cached.status().message;
      return -1;
    }
    EXPECT_EQ(cached->bytes(), packed->bytes());
    const auto plans = plan_weights(backend_, plain, kSpecs, options);
    for (const WeightPlan& plan : *plans) {
      const auto found = Readback(backend_).read(cached->memory(plan));
      const auto expected = Readback(backend_).read(packed->memory(plan));
      EXPECT_EQ(found.size(), expected.size()) << plan.spec->name;
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size()), 0) << plan.spec->name;
    }
    EXPECT_EQ(cached->linear("matrix").format, packed->linear("matrix").format);
    EXPECT_EQ(cached->linear("matrix").input, packed->linear("matrix").input);
    EXPECT_EQ(cached->vector("norm").dtype, options.activation);
    return source.reads;
  }

  TempFolder folder_;
  MemoryBackend backend_;
};

TEST_F(WeightCacheTest, the_second_load_reads_the_file_and_not_the_source) {
  EXPECT_EQ(load(), 3);
  EXPECT_THAT(files(), SizeIs(1));
  EXPECT_EQ(load(), 0);
  EXPECT_THAT(files(), SizeIs(1));
}

TEST_F(WeightCacheTest, other_weights_types_and_formats_have_files_of_their_own) {
  EXPECT_EQ(load(1), 3);
  EXPECT_EQ(load(2), 3);
  LoadOptions options;
  options.activation = DType::kF32;
  EXPECT_EQ(load(1, options), 3);
  options.quantization = {"wint8", find_weight_format("wint8"), nullptr};
  EXPECT_EQ(load(1, options), 3);
  EXPECT_THAT(files(), SizeIs(4));
  EXPECT_EQ(load(1), 0);
  options.quantize_activations = true;  // changes no weight
  EXPECT_EQ(load(1, options), 0);
}

TEST_F(WeightCacheTest, a_file_that_is_cut_short_or_another_one_is_made_anew) {
  ASSERT_EQ(load(1), 3);
  const auto first = files().at(0);
  std::filesystem::resize_file(first, std::filesystem::file_size(first) - 1);
  EXPECT_EQ(load(1), 3);
  EXPECT_EQ(load(1), 0);
  ASSERT_EQ(load(2), 3);
  for (const auto& file : files())
    if (file != first) std::filesystem::rename(file, first);
  EXPECT_EQ(load(1), 3);
  EXPECT_EQ(load(1), 0);
}

TEST_F(WeightCacheTest, a_folder_that_cannot_be_written_costs_the_cache_only) {
  std::filesystem::create_directories(cache().parent_path());
  std::ofstream(cache()) << "a file where the folder should be";
  EXPECT_EQ(load(), 3);
  EXPECT_EQ(load(), 3);
}

TEST_F(WeightCacheTest, a_source_that_fails_leaves_no_file) {
  struct Failing final : WeightSource {
    Result<DType> stored_dtype(const TensorSpec&) override { return DType::kBf16; }
    Result<void> read_rows(const TensorSpec& spec, int64_t, TensorView) override {
      return invalid("unreadable", spec.name);
    }
    std::string identity() const override { return "failing"; }
  } source;
  std::filesystem::create_directories(cache());
  const auto result = load_cached_weights(backend_, source, kSpecs, {}, cache());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().param, "matrix");
  EXPECT_THAT(files(), IsEmpty());
}

}  // namespace
}  // namespace erne::weights
