#include "weights/packed_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "backend/readback.h"
#include "weights/checkpoint_fixture.h"
#include "weights/memory_backend.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

using testing::HasSubstr;

const std::vector<TensorSpec> kSpecs = {{"matrix", TensorKind::kLinear, {200, 24}, {{"m", 200}}},
                                        {"router", TensorKind::kRouter, {5, 24}, {{"r", 5}}},
                                        {"expert", TensorKind::kExpert, {30, 24}, {{"e", 30}}},
                                        {"bias", TensorKind::kBias, {5}, {{"b", 5}}},
                                        {"norm", TensorKind::kVector, {24}, {{"n", 24}}}};

class PackedCheckpointTest : public testing::Test {
 protected:
  Result<size_t> write() {
    RandomSource source(3);
    return write_packed_checkpoint(backend_, source, kSpecs, {}, file());
  }
  std::filesystem::path file() const { return folder_.path() / kPackedCheckpointFile; }

  TempFolder folder_;
  MemoryBackend backend_;
};

TEST_F(PackedCheckpointTest, holds_what_loading_gives_copied_or_mapped) {
  RandomSource source(3);
  const WeightStore loaded = load_weights(backend_, source, kSpecs, {}).value();
  const auto plans = plan_weights(backend_, source, kSpecs, {}).value();
  EXPECT_LE(write().value(), loaded.bytes());
  for (const Residence residence : {Residence::kCopied, Residence::kMapped}) {
    const size_t before = backend_.live_bytes();
    const auto packed = load_packed_checkpoint(backend_, kSpecs, {}, file(), residence);
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

TEST_F(PackedCheckpointTest, packs_one_tensor_at_a_time) {
  ASSERT_TRUE(write());
  EXPECT_LE(backend_.peak_bytes, 3u * 200 * 24 * sizeof(Bf16));  // and rows as read
}

TEST_F(PackedCheckpointTest, a_file_for_something_else_says_what_differs) {
  ASSERT_TRUE(write());
  LoadOptions options;
  options.activation = DType::kF32;
  const auto wrong = load_packed_checkpoint(backend_, kSpecs, options, file());
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.status().message, HasSubstr("\"norm [24] bfloat16\", expected is "
                                                "\"norm [24] float32\""));
  std::vector<TensorSpec> more = kSpecs;
  more.pop_back();
  EXPECT_FALSE(load_packed_checkpoint(backend_, more, {}, file()));
}

TEST_F(PackedCheckpointTest, a_file_that_is_cut_short_or_missing_is_refused) {
  EXPECT_EQ(load_packed_checkpoint(backend_, kSpecs, {}, file()).status().code, Code::kNotFound);
  ASSERT_TRUE(write());
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - 64);
  EXPECT_FALSE(load_packed_checkpoint(backend_, kSpecs, {}, file()));
}

}  // namespace
}  // namespace erne::weights
