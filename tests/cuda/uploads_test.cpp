// Uploads: nobody waits for them, and nothing is overwritten on its way.
#define ERNE_CUDA_EMULATED
#include "cuda/runtime/uploads.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace erne::cuda::inline emulated {
namespace {

class UploadsTest : public testing::Test {
 protected:
  ~UploadsTest() override { runtime_->free(device_); }

  static constexpr size_t kBytes = 3 << 20;  // more than is on its way at a time

  std::unique_ptr<Runtime> runtime_ = Runtime::open(0).value();
  Uploads uploads_{*runtime_};
  std::byte* const device_ = static_cast<std::byte*>(runtime_->allocate(kBytes));
};

TEST_F(UploadsTest, ArriveWhereNobodyWaitedForThem) {
  std::vector<std::byte> list(100, std::byte{1});
  uploads_.upload(list, device_);
  list.assign(100, std::byte{2});
  uploads_.upload(list, device_ + 100);
  EXPECT_EQ(device_[0], std::byte{0}) << "it did wait";
  runtime_->finish();
  EXPECT_EQ(device_[99], std::byte{1});
  EXPECT_EQ(device_[100], std::byte{2});
}

TEST_F(UploadsTest, OverwriteNothingOnItsWay) {
  std::vector<std::byte> large(kBytes);
  for (size_t i = 0; i < kBytes; ++i) large[i] = static_cast<std::byte>(i / 1000);
  uploads_.upload(large, device_);
  runtime_->finish();
  EXPECT_TRUE(std::equal(large.begin(), large.end(), device_));
}

}  // namespace
}  // namespace erne::cuda::inline emulated
