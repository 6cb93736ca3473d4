#include "cpu/kernels/rope_angles.h"

#include <gtest/gtest.h>

#include <cmath>

namespace erne::cpu {
namespace {

TEST(SineCosine, AgreesWithTheExactValueUpToFarAngles) {
  double worst = 0;
  for (double angle = 0; angle < 1 << 25; angle = angle * 1.0003 + 0.0007) {
    for (double sign : {1.0, -1.0}) {
      const SineCosine at = sine_cosine(sign * angle);
      const auto exact = static_cast<long double>(sign * angle);
      worst = std::max(worst, std::abs(static_cast<double>(at.sine - std::sin(exact))));
      worst = std::max(worst, std::abs(static_cast<double>(at.cosine - std::cos(exact))));
    }
  }
  EXPECT_LT(worst, 0x1p-50);
}

TEST(SineCosine, NearMultiplesOfHalfPi) {
  for (int n = 1; n < 1 << 24; n = n * 3 + 1) {
    const double angle = static_cast<float>(n * 1.5707963267948966);
    const SineCosine at = sine_cosine(angle);
    EXPECT_NEAR(at.sine, std::sin(angle), 0x1p-50);
    EXPECT_NEAR(at.cosine, std::cos(angle), 0x1p-50);
  }
}

TEST(RopeAngles, AreFloat32ProductsOfPositionAndFrequency) {
  ThreadPool pool(2);
  RopeAngles angles;
  const float frequencies[] = {1.0f, 0.8146172338565447f, 2.4551408e-6f};
  const int32_t positions[] = {0, 1, 131071};
  angles.prepare(positions, frequencies, pool);
  for (int t = 0; t < 3; ++t)
    for (int i = 0; i < 3; ++i) {
      const float angle = static_cast<float>(positions[t]) * frequencies[i];
      const auto cosine = static_cast<float>(std::cos(static_cast<double>(angle)));
      const auto sine = static_cast<float>(std::sin(static_cast<double>(angle)));
      const int at = t * 6 + 2 * i;
      EXPECT_EQ(angles.cosines()[at], cosine);
      EXPECT_EQ(angles.cosines()[at + 1], cosine);
      EXPECT_EQ(angles.sines()[at], -sine);
      EXPECT_EQ(angles.sines()[at + 1], sine);
    }
}

TEST(RopeAngles, ANewStepReplacesTheTable) {
  ThreadPool pool(1);
  RopeAngles angles;
  const float frequency[] = {1.0f};
  const int32_t first[] = {5}, second[] = {6};
  angles.prepare(first, frequency, pool);
  angles.prepare(second, frequency, pool);
  EXPECT_EQ(angles.cosines()[0], std::cos(6.0f));
  const float other[] = {0.5f};
  angles.prepare(second, other, pool);
  EXPECT_EQ(angles.cosines()[0], std::cos(3.0f));
}

}  // namespace
}  // namespace erne::cpu
