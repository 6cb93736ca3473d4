#include "weights/weight_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "backend/readback.h"
#include "base/temp_folder_fixture.h"
#include "weights/checkpoint_fixture.h"
#include "weights/checkpoint_source.h"
#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

const std::vector<TensorSpec> kCachedSpecs = {
    {"matrix", TensorKind::kLinear, {200, 24}, {{"m", 200}}},
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
  std::string identity() const override { return known_as; }
  uint64_t fingerprint() const override {
    ++fingerprints;
    return source_.fingerprint();
  }
  int reads = 0;
  mutable int fingerprints = 0;
  std::string known_as;

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
    const auto cached = load_cached_weights(backend_, source, kCachedSpecs, options, cache());
    const auto packed = load_weights(backend_, plain, kCachedSpecs, options);
    if (!cached.ok()) {
      ADD_FAILURE() << cached.status().message;
      return -1;
    }
    EXPECT_EQ(cached->bytes(), packed->bytes());
    const auto plans = plan_weights(backend_, plain, kCachedSpecs, options);
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

// Whatever happens to a file of the cache, nobody is given other weights.
TEST_F(WeightCacheTest, a_damaged_file_is_made_anew) {
  ASSERT_EQ(load(), 3);
  const std::filesystem::path path = files().at(0);
  const std::string whole = bytes_of_file(path);
  std::vector<std::string> damaged;
  // A bit of every 251st byte: of the header, the key, each tensor, its padding and the checksums.
  for (size_t at = 0; at < whole.size(); at += 251) {
    damaged.push_back(whole);
    damaged.back()[at] ^= static_cast<char>(1 << at % 8);
  }
  for (const size_t at : {size_t{0}, whole.size() / 2, whole.size() * 2 / 3, whole.size() - 64}) {
    damaged.push_back(whole);
    std::fill(damaged.back().begin() + static_cast<int64_t>(at), damaged.back().end(), '\0');
  }
  damaged.insert(damaged.end(), {whole.substr(0, whole.size() / 2), whole.substr(0, 8), "",
                                 whole + std::string(64, '\0'), std::string(whole.size(), '\0')});
  for (const std::string& bytes : damaged) {
    std::ofstream(path, std::ios::binary) << bytes;
    ASSERT_EQ(load(), 3);
    ASSERT_EQ(bytes_of_file(path), whole);
  }
  EXPECT_EQ(load(), 0);
}

TEST_F(WeightCacheTest, unfinished_files_of_ended_writers_are_removed) {
  std::filesystem::create_directories(cache());
  std::ofstream(cache() / "0123456789abcdef.safetensors.4711.unfinished") << "half";
  ASSERT_EQ(load(), 3);
  EXPECT_THAT(files(), SizeIs(1));
}

TEST_F(WeightCacheTest, what_a_source_holds_is_remembered_while_it_is_known_as_the_same) {
  const auto fingerprints = [&](uint64_t seed, const std::string& known_as) {
    CountingSource source(seed);
    source.known_as = known_as;
    EXPECT_TRUE(load_cached_weights(backend_, source, kCachedSpecs, {}, cache()));
    return source.fingerprints;
  };
  EXPECT_EQ(fingerprints(1, "files of today\n"), 1);
  EXPECT_EQ(fingerprints(1, "files of today\n"), 0);
  EXPECT_EQ(fingerprints(1, "copies\n"), 1);
  EXPECT_EQ(fingerprints(2, "files of tomorrow\n"), 1);
  EXPECT_EQ(fingerprints(1, ""), 1);
  EXPECT_EQ(fingerprints(1, ""), 1) << "nothing to know it by";
  for (const auto& file : files())
    if (file.extension() == ".holds") std::ofstream(file, std::ios::app) << "more";
  EXPECT_EQ(fingerprints(1, "files of today\n"), 1);
}

// A source whose values are in a file of a checkpoint.
std::string model_of(float value) {
  const std::vector<float> matrix(size_t{200} * 24, value), table(size_t{30} * 24, value);
  return safetensors_file({{"m", "BF16", {200, 24}, bf16_bytes(matrix)},
                           {"t", "BF16", {30, 24}, bf16_bytes(table)},
                           {"n", "BF16", {24}, bf16_bytes(std::vector<float>(24, value))}});
}

TEST_F(WeightCacheTest, another_model_of_equal_names_sizes_and_times_is_another) {
  TempFolder model;
  const auto first_number = [&] {
    auto source =
        CheckpointSource::make(Checkpoint::open(model.path()).value(), kCachedSpecs).value();
    const auto store = load_cached_weights(backend_, source, kCachedSpecs, {}, cache()).value();
    const auto plan = plan_weights(backend_, source, kCachedSpecs, {}).value().back();
    Bf16 number;
    std::memcpy(&number, Readback(backend_).read(store.memory(plan)).data(), sizeof(number));
    return to_float(number);
  };
  model.write("model.safetensors", model_of(1));
  const auto time = std::filesystem::last_write_time(model.path() / "model.safetensors");
  EXPECT_EQ(first_number(), 1);
  model.write("model.safetensors", model_of(2));
  std::filesystem::last_write_time(model.path() / "model.safetensors", time);
  EXPECT_EQ(first_number(), 2);
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
    std::string identity() const override { return {}; }
    uint64_t fingerprint() const override { return 1; }
  } source;
  std::filesystem::create_directories(cache());
  const auto result = load_cached_weights(backend_, source, kCachedSpecs, {}, cache());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().param, "matrix");
  EXPECT_THAT(files(), IsEmpty());
}

}  // namespace
}  // namespace erne::weights
