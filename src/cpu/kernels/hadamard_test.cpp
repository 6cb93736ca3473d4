#include "cpu/kernels/hadamard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace erne::cpu {
namespace {

// Element (i, j) of H is -1 to the number of bits that i and j share.
TEST(RotateRows, MultipliesEachBlockByHadamardsMatrix) {
  for (const int block : {1, 2, 8, 64}) {
    constexpr int kWidth = 192, kRows = 2;
    std::vector<float> x(kRows * kWidth);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 37 + 11) % 101) - 50;
    std::vector<float> rotated = x;
    rotate_rows(DType::kF32, rotated.data(), kRows, kWidth, block);
    for (size_t i = 0; i < x.size(); ++i) {
      double sum = 0;
      for (int j = 0; j < block; ++j) {
        const unsigned shared = (i % block) & static_cast<unsigned>(j);
        sum += (std::popcount(shared) % 2 ? -1 : 1) * x[i / block * block + j];
      }
      // Sums of integers are exact; the root and the product are not.
      EXPECT_NEAR(rotated[i], sum / std::sqrt(block), std::abs(sum) * 0x1p-22);
    }
  }
}

TEST(RotateRows, TwiceIsNothing) {
  std::vector<Bf16> x(128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = to_bf16(static_cast<float>(i % 7) - 3);
  std::vector<Bf16> twice = x;
  for (int i = 0; i < 2; ++i) rotate_rows(DType::kBf16, twice.data(), 1, 128, 128);
  // Two roundings to bfloat16 of a vector that is about 23 long.
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(to_float(twice[i]), to_float(x[i]), 0.1);
}

}  // namespace
}  // namespace erne::cpu
