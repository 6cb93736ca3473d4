#include "sample/lanes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace erne::sample {
namespace {

TEST(Lanes, WeightsAreExponentialsAndTheirSum) {
  for (const size_t size : {1, 15, 16, 17, 500, kPiece}) {
    std::vector<float> logits;
    for (size_t i = 0; i < size; ++i) logits.push_back(3 - static_cast<float>(i) * 0.37f);
    Weights weights;
    weigh(logits, 3, 0.75f, weights);
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      const double x = (double{logits[i]} - 3) * 0.75;
      // The argument has an error of its own, 2^-24 of itself at each of its two roundings.
      const double exact = x > -87 ? std::exp(x) : 0;
      EXPECT_NEAR(weights.of[i], exact, exact * (0x1p-20 + std::abs(x) * 0x1p-22)) << x;
      sum += weights.of[i];
    }
    EXPECT_NEAR(weights.sum, sum, sum * 1e-5);
  }
}

TEST(Lanes, WhatIsNoNumberWeighsNothing) {
  const std::vector<float> logits = {std::nanf(""), 1, -HUGE_VALF, -200};
  EXPECT_EQ(largest_of(logits).value, 1);
  EXPECT_TRUE(largest_of(logits).has_nan);
  EXPECT_FALSE(largest_of(std::span(logits).subspan(1)).has_nan);
  Weights weights;
  weigh(logits, 1, 1, weights);
  EXPECT_EQ(weights.of[0], 0);
  EXPECT_EQ(weights.of[1], 1);
  EXPECT_EQ(weights.of[2], 0);
  EXPECT_EQ(weights.of[3], 0);
  EXPECT_EQ(weights.sum, 1);
}

TEST(Lanes, SumsOfExponentialsKeepTheirBound) {
  for (const size_t size : {1, 3, 4, 5, 513, 103424}) {
    for (const float spread : {0.0f, 1e-3f, 12.0f, 500.0f}) {
      std::vector<float> logits(size);
      for (size_t i = 0; i < size; ++i)
        logits[i] = 30 - spread * static_cast<float>((i * 7919) % size) / static_cast<float>(size);
      double exact = 0;
      for (const float logit : logits) exact += std::exp(double{logit} - 30);
      EXPECT_NEAR(sum_of_exponentials(logits, 30), exact, exact * 0x1p-19) << size << ' ' << spread;
    }
  }
}

}  // namespace
}  // namespace erne::sample
