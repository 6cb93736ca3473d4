#include "tensor/formats/symmetric_int.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace erne::symmetric_int {
namespace {

struct EncodedRun {
  std::vector<int> q;
  float scale;
};

EncodedRun encoded(const char* format_name, const std::vector<float>& weights) {
  const WeightFormat& format = *find_weight_format(format_name);
  std::vector<uint8_t> codes(weights.size());
  EncodedRun run;
  run.scale = to_float(encode(weights, format, codes.data()));
  for (const uint8_t code : codes) run.q.push_back(code - offset(format.bits));
  return run;
}

TEST(SymmetricInt, EightBitsWorkedByHand) {
  const EncodedRun run = encoded("wint8", {1.27f, -1.27f, 0.5f, -0.014f, 0});
  EXPECT_EQ(run.q, (std::vector<int>{127, -127, 50, -1, 0}));
  EXPECT_EQ(run.scale, to_float(to_bf16(0.01f)));
}

TEST(SymmetricInt, HalvesGoAwayFromZero) {
  EXPECT_EQ(encoded("wint8", {127, 2.5f, -2.5f}).q, (std::vector<int>{127, 3, -3}));
  EXPECT_EQ(encoded("wint4", {-7, 2.5f, -2.5f}).q, (std::vector<int>{-7, 3, -3}));
}

TEST(SymmetricInt, GroupsUseAllSixteenIntegers) {
  const EncodedRun positive = encoded("wint4_g128", {4, 1, -1, 3.9f, -4});
  EXPECT_EQ(positive.scale, -0.5f);
  EXPECT_EQ(positive.q, (std::vector<int>{-8, -2, 2, -8, 7}));
  const EncodedRun negative = encoded("wint4_g64", {-4, 3.8f, 0.2f});
  EXPECT_EQ(negative.scale, 0.5f);
  EXPECT_EQ(negative.q, (std::vector<int>{-8, 7, 0}));
}

TEST(SymmetricInt, DecodeGivesTheProduct) {
  for (const WeightFormat& format : weight_formats()) {
    if (format.encoding != Encoding::kSymmetricInt) continue;
    const std::vector<float> weights = {0.3f, -0.7f, 0.9f, 0.05f};
    std::vector<uint8_t> codes(weights.size());
    const Bf16 scale = encode(weights, format, codes.data());
    const float step = std::fabs(to_float(scale));
    for (size_t i = 0; i < weights.size(); ++i)  // half a step, one where 7 stands for 8, and bf16
      EXPECT_NEAR(decode(codes[i], format, scale), weights[i],
                  step * (format.full_range ? 1 : 0.5) + std::fabs(weights[i]) / 256);
  }
}

TEST(SymmetricInt, ZerosAndTheSmallestNumbersGiveZeros) {
  for (const char* format : {"wint8", "wint4_g128"}) {
    EXPECT_EQ(encoded(format, {0, 0}).q, (std::vector<int>{0, 0}));
    const float tiny = std::numeric_limits<float>::denorm_min();
    EXPECT_EQ(encoded(format, {tiny, -tiny}).q, (std::vector<int>{0, 0}));
  }
}

TEST(SymmetricInt, WhatIsNotFiniteStaysVisible) {
  for (const char* format : {"wint8", "wint4_g128"})
    for (const float damage :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      EXPECT_FALSE(std::isfinite(encoded(format, {1, damage, 2}).scale));
}

TEST(WeightFormat, CountsCodesAndScales) {
  EXPECT_EQ(find_weight_format("bfloat16")->bytes(3, 5), 30);
  EXPECT_EQ(find_weight_format("wint8")->bytes(3, 5), 3 * 5 + 3 * 2);
  EXPECT_EQ(find_weight_format("wint4")->bytes(2, 7), 2 * 4 + 2 * 2);
  EXPECT_EQ(find_weight_format("wint4_g128")->bytes(2, 300), 2 * 150 + 2 * 3 * 2);
}

}  // namespace
}  // namespace erne::symmetric_int
