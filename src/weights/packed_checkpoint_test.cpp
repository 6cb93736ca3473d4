#include "weights/packed_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "backend/readback.h"
#include "base/temp_folder_fixture.h"
#include "weights/checkpoint_fixture.h"
#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<TensorSpec> kPackedSpecs = {
    {"matrix", TensorKind::kLinear, {200, 24}, {{"m", 200}}},
    {"router", TensorKind::kRouter, {5, 24}, {{"r", 5}}},
    {"expert", TensorKind::kExpert, {30, 24}, {{"e", 30}}},
    {"bias", TensorKind::kBias, {5}, {{"b", 5}}},
    {"norm", TensorKind::kVector, {24}, {{"n", 24}}}};

class PackedCheckpointTest : public testing::Test {
 protected:
  Result<size_t> write() {
    RandomSource source(3);
    return write_packed_checkpoint(backend_, source, kPackedSpecs, {}, file());
  }
  std::filesystem::path file() const { return folder_.path() / kPackedCheckpointFile; }

  TempFolder folder_;
  MemoryBackend backend_;
};

TEST_F(PackedCheckpointTest, holds_what_loading_gives_copied_or_mapped) {
  RandomSource source(3);
  const WeightStore loaded = load_weights(backend_, source, kPackedSpecs, {}).value();
  const auto plans = plan_weights(backend_, source, kPackedSpecs, {}).value();
  EXPECT_LE(write().value(), loaded.bytes());
  for (const Residence residence : {Residence::kCopied, Residence::kMapped}) {
    const size_t before = backend_.live_bytes();
    const auto packed = load_packed_checkpoint(backend_, kPackedSpecs, {}, file(), residence);
    ASSERT_TRUE(packed) << packed.status().message;
    EXPECT_EQ(backend_.live_bytes() > before, residence == Residence::kCopied);
    for (const WeightPlan& plan : plans) {
      const auto found = Readback(backend_).read(packed->memory(plan));
      const auto expected = Readback(backend_).read(loaded.memory(plan));
      ASSERT_EQ(found.size(), expected.size());
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size()), 0) << plan.spec->name;
      const bool aligned = reinterpret_cast<uintptr_t>(found.data()) % 64 == 0;
      EXPECT_TRUE(aligned || residence == Residence::kCopied) << "kernels want it aligned";
    }
    EXPECT_EQ(packed->linear("router").format->stored, DType::kF32);
    EXPECT_EQ(packed->vector("bias").dtype, DType::kF32);
  }
}

// Three experts' matrices, then a number of each.
std::vector<TensorSpec> stacked_specs() {
  std::vector<TensorSpec> specs;
  for (const char* which : {"w", "s"})
    for (int64_t e = 0; e < 3; ++e) {
      const bool is_matrix = *which == 'w';
      specs.push_back({.name = std::to_string(e) + "." + which,
                       .kind = is_matrix ? TensorKind::kExpert : TensorKind::kScale,
                       .shape = is_matrix ? Shape{5, 24} : Shape{1},
                       .parts = {{"", is_matrix ? 5 : 1}},
                       .member = {which, e, 3}});
    }
  return specs;
}

// A vector's numbers are the digit that its name begins with.
class NumberedSource final : public WeightSource {
 public:
  Result<DType> stored_dtype(const TensorSpec&) override { return DType::kBf16; }
  Result<void> read_rows(const TensorSpec& spec, int64_t first, TensorView out) override {
    if (is_matrix(spec.kind)) return RandomSource(3).read_rows(spec, first, out);
    *out.as<float>() = static_cast<float>(spec.name[0] - '0');
    return {};
  }
  std::string identity() const override { return "numbered"; }
  uint64_t fingerprint() const override { return 0; }
};

TEST_F(PackedCheckpointTest, stacks_lie_together_copied_or_mapped) {
  const std::vector<TensorSpec> specs = stacked_specs();
  NumberedSource source;
  ASSERT_TRUE(write_packed_checkpoint(backend_, source, specs, {}, file()));
  const WeightStore loaded = load_weights(backend_, source, specs, {}).value();
  for (const Residence residence : {Residence::kCopied, Residence::kMapped}) {
    const auto packed = load_packed_checkpoint(backend_, specs, {}, file(), residence);
    ASSERT_TRUE(packed) << packed.status().message;
    const StackedLinear& stack = packed->stack("w");
    EXPECT_EQ(stack.count, 3);
    for (int64_t e = 0; e < 3; ++e) {
      const auto found = Readback(backend_).read(stack.linear(e).data.span());
      const auto expected =
          Readback(backend_).read(loaded.linear(std::to_string(e) + ".w").data.span());
      EXPECT_TRUE(std::ranges::equal(found, expected)) << e;
    }
    EXPECT_THAT(Readback(backend_).read<float>(packed->vector_stack("s")),
                testing::ElementsAre(0, 1, 2));
  }
}

// Its memory is not the host's.
class FarBackend final : public NullBackend {
 public:
  bool reads_host_memory() const override { return false; }
};

TEST_F(PackedCheckpointTest, a_device_of_another_memory_has_a_copy) {
  FarBackend backend;
  RandomSource source(3);
  ASSERT_TRUE(write_packed_checkpoint(backend, source, kPackedSpecs, {}, file()));
  const auto packed = load_packed_checkpoint(backend, kPackedSpecs, {}, file());
  ASSERT_TRUE(packed) << packed.status().message;
  std::vector<float> bias(5);
  ASSERT_TRUE(source.read(kPackedSpecs[3], {bias.data(), DType::kF32, {5}}));
  EXPECT_THAT(Readback(backend).read<float>(packed->vector("bias")),
              testing::ElementsAreArray(bias));
}

TEST_F(PackedCheckpointTest, packs_one_tensor_at_a_time) {
  ASSERT_TRUE(write());
  EXPECT_LE(backend_.peak_bytes, 3u * 200 * 24 * sizeof(Bf16));  // and rows as read
}

TEST_F(PackedCheckpointTest, a_file_for_something_else_says_what_differs) {
  ASSERT_TRUE(write());
  LoadOptions options;
  options.activation = DType::kF32;
  const auto wrong = load_packed_checkpoint(backend_, kPackedSpecs, options, file());
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.status().message, HasSubstr("\"norm [24] bfloat16\", expected is "
                                                "\"norm [24] float32\""));
  std::vector<TensorSpec> more = kPackedSpecs;
  more.pop_back();
  EXPECT_FALSE(load_packed_checkpoint(backend_, more, {}, file()));
}

TEST_F(PackedCheckpointTest, a_file_that_is_cut_short_or_missing_is_refused) {
  EXPECT_EQ(load_packed_checkpoint(backend_, kPackedSpecs, {}, file()).status().code,
            Code::kNotFound);
  ASSERT_TRUE(write());
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 64);
  EXPECT_FALSE(load_packed_checkpoint(backend_, kPackedSpecs, {}, file()));
}

TEST_F(PackedCheckpointTest, a_damaged_file_is_refused_by_name) {
  ASSERT_TRUE(write());
  const std::string whole = bytes_of_file(file());
  const auto tensors = parse_safetensors_header(std::as_bytes(std::span(whole))).value();
  const auto refusal = [&](const std::string& bytes, Residence residence) {
    std::ofstream(file(), std::ios::binary) << bytes;
    const auto loaded = load_packed_checkpoint(backend_, kPackedSpecs, {}, file(), residence);
    return loaded ? Status{Code::kInternal, "accepted"} : loaded.status();
  };
  for (const Residence residence : {Residence::kCopied, Residence::kMapped}) {
    for (const StoredTensor& tensor : tensors)
      for (const uint64_t at : {tensor.begin, (tensor.begin + tensor.end) / 2, tensor.end - 1}) {
        std::string damaged = whole;
        damaged[at] ^= 4;
        const Status status = refusal(damaged, residence);
        EXPECT_THAT(status.message, AllOf(HasSubstr("damaged"), HasSubstr("erne quantize")));
        if (tensor.name != "key" && tensor.name != "checksums") {
          EXPECT_EQ(status.param, tensor.name);
          EXPECT_THAT(status.message, HasSubstr("tensor \"" + tensor.name + "\""));
        }
      }
    std::string swapped = whole;  // two tensors of one size under each other's names
    for (const auto& [from, to] : {std::pair("\"bias\"", "\"norm\""), {"\"norm\"", "\"bias\""}})
      swapped.replace(whole.find(from), 6, to);
    EXPECT_THAT(refusal(swapped, residence).message, HasSubstr("the header is damaged"));
    for (const std::string& bytes :
         {whole.substr(0, whole.size() - 1), whole + std::string(64, '\0'), std::string(),
          whole.substr(0, tensors.front().begin), std::string(whole.size(), '\0')})
      EXPECT_NE(refusal(bytes, residence).message, "accepted");
  }
  EXPECT_EQ(refusal(whole, Residence::kMapped).message, "accepted");
}

TEST_F(PackedCheckpointTest, an_older_file_has_no_checksums_and_is_made_again) {
  std::ofstream(file(), std::ios::binary)
      << safetensors_file({{"key", "U8", {4}, "erne"}, {"norm", "BF16", {1}, "12"}});
  EXPECT_THAT(load_packed_checkpoint(backend_, kPackedSpecs, {}, file()).status().message,
              AllOf(HasSubstr("no checksums"), HasSubstr("make it again with erne quantize")));
}

}  // namespace
}  // namespace erne::weights
