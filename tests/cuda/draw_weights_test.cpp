// Weights that the device draws are those that the host would have drawn and packed.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "cuda/cuda_backend.h"

namespace erne::cuda::inline emulated {
namespace {

constexpr int64_t kOut = 150, kIn = 132;
constexpr RandomMatrix kMatrix{.seed = 5, .half_width = 0.25f};

class DrawnWeights : public testing::Test {
 protected:
  Linear room_for(const char* format) {
    const WeightFormat& of = *find_weight_format(format);
    memory_.push_back(backend_->allocate(backend_->packed_bytes(of, kOut, kIn)));
    return Linear::at(memory_.back().data(), of, kOut, kIn);
  }
  std::vector<std::byte> bytes_of_last() {
    std::vector<std::byte> bytes(memory_.back().bytes());
    backend_->download(memory_.back().span(), bytes);
    return bytes;
  }

  std::unique_ptr<Backend> backend_ = make_cuda_backend(0, [](int64_t, const auto&) {}).value();
  std::vector<DeviceBuffer> memory_;
};

TEST_F(DrawnWeights, AreTheHosts) {
  std::vector<Bf16> elements;
  for (int64_t i = 0; i < kOut * kIn; ++i) elements.push_back(kMatrix.element(i));
  EXPECT_NE(elements[0].bits, elements[1].bits);
  for (const char* format : {"bfloat16", "wint8", "wint4", "block_wise_fp8"}) {
    backend_->pack_rows(room_for(format), {elements.data(), DType::kBf16, {kOut, kIn}}, 0);
    const auto packed = bytes_of_last();
    ASSERT_TRUE(backend_->draw(room_for(format), kMatrix));
    EXPECT_TRUE(bytes_of_last() == packed) << format;
  }
}

// Encoding wint2 takes minutes: its codes are drawn.
TEST_F(DrawnWeights, OfWint2AreOfThatSize) {
  const Linear w = room_for("wint2");
  ASSERT_TRUE(backend_->draw(w, kMatrix));
  DeviceBuffer ids = backend_->allocate(kOut * sizeof(int32_t));
  DeviceBuffer rows = backend_->allocate(kOut * kIn * sizeof(float));
  std::vector<int32_t> all(kOut);
  for (int i = 0; i < kOut; ++i) all[i] = i;
  const DeviceView x{rows.data(), DType::kF32, {kOut, kIn}};
  backend_->embed(w, stage_indices(*backend_, "ids", all, kOut, {ids.data(), DType::kI32, {kOut}}),
                  x);
  std::vector<float> values(kOut * kIn);
  backend_->download(x.span(), std::as_writable_bytes(std::span(values)));
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += double{v} * v;
  const double root_mean_square = std::sqrt(squares / kOut / kIn);
  EXPECT_NEAR(root_mean_square, kMatrix.half_width / std::sqrt(3.0), 0.03);
  EXPECT_LT(std::abs(sum / kOut / kIn), 0.01);
}

}  // namespace
}  // namespace erne::cuda::inline emulated
