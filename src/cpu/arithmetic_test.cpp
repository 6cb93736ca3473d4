#include "cpu/arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace erne::cpu {
namespace {

TEST(Exp, IsWithinItsPromisedError) {
  double worst = 0;
  for (double x = kExpLow; x <= kExpHigh; x += 0.00037) {
    const float at = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(at));
    worst = std::max(worst, std::abs(exp_f32(at) / exact - 1));
  }
  EXPECT_LT(worst, 0x1p-22);
}

TEST(Exp, AtItsEnds) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exp_f32(0), 1);
  EXPECT_EQ(exp_f32(-0.0f), 1);
  EXPECT_EQ(exp_f32(std::nextafter(kExpLow, -kInfinity)), 0);
  EXPECT_EQ(exp_f32(-kInfinity), 0);
  EXPECT_GT(exp_f32(kExpLow), std::numeric_limits<float>::min());
  EXPECT_EQ(exp_f32(kInfinity), exp_f32(kExpHigh));
  EXPECT_LT(exp_f32(kExpHigh), kInfinity);
  EXPECT_TRUE(std::isnan(exp_f32(std::numeric_limits<float>::quiet_NaN())));
}

TEST(CombineLanes, IsTheDocumentedTree) {
  // In any other order the large values would swallow the small ones.
  float lanes[kLanes] = {};
  lanes[0] = 0x1p30f, lanes[8] = -0x1p30f;  // first halves: 8 + 8
  lanes[1] = 0x1p25f, lanes[5] = -0x1p25f;  // then 4 + 4
  lanes[2] = 0.5f, lanes[10] = 0.25f, lanes[7] = 0.125f;
  EXPECT_EQ(combine_lanes(lanes), 0.875f);
}

}  // namespace
}  // namespace erne::cpu
