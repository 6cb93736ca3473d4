// Scratch memory: what an op was given stays where it is, whatever is taken later.
#define ERNE_CUDA_EMULATED
#include "cuda/runtime/scratch.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace erne::cuda::inline emulated {
namespace {

constexpr size_t kLarge = 20 << 20;

class ScratchMemory : public testing::Test {
 protected:
  std::unique_ptr<Runtime> runtime_ = Runtime::open(0).value();
  Scratch scratch_{*runtime_};
};

using ScratchMemoryDeathTest = ScratchMemory;

TEST_F(ScratchMemory, PiecesOfOneOpAreApart) {
  const std::byte* pieces[] = {scratch_.bytes(3), scratch_.bytes(kLarge), scratch_.bytes(1)};
  const size_t sizes[] = {3, kLarge, 1};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pieces[i]) % 256, 0);
    for (int j = 0; j < i; ++j)
      EXPECT_TRUE(pieces[i] >= pieces[j] + sizes[j] || pieces[j] >= pieces[i] + sizes[i]);
  }
}

TEST_F(ScratchMemory, AnEqualOpGetsTheSamePiecesAfterOthersMadeItGrow) {
  const auto op = [&] {
    scratch_.begin_op();
    const std::byte* small = scratch_.bytes(100);
    return std::pair(small, scratch_.bytes(kLarge));
  };
  const auto before = op();
  scratch_.begin_op();
  scratch_.bytes(8 * kLarge);
  EXPECT_EQ(op(), before);
}

TEST_F(ScratchMemory, IsUsedWhileAGraphIsRecorded) {
  const std::byte* before = scratch_.bytes(kLarge);
  scratch_.begin_op();
  runtime_->record([&] { EXPECT_EQ(scratch_.bytes(kLarge), before); });
}

TEST_F(ScratchMemoryDeathTest, DoesNotGrowWhileAGraphIsRecorded) {
  EXPECT_DEATH(runtime_->record([&] { scratch_.bytes(1); }), "is_recording");
}

}  // namespace
}  // namespace erne::cuda::inline emulated
