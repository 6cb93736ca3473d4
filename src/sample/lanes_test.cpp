#include "sample/lanes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "backend/token_draw.h"

namespace erne::sample {
namespace {

// Four at a time gives what backend/token_draw.h says of one, in whole pieces and parts of them.
TEST(Lanes, DistancesAndWeightsAreThoseOfADraw) {
  for (const float units : {kUnitsPerBit * 1.442695f, 1e3f, 6e11f})
    for (const size_t size : {1, 15, 16, 17, 500, kPiece}) {
      std::vector<float> logits;
      for (size_t i = 0; i < size; ++i) logits.push_back(3 - static_cast<float>(i) * 0.087f);
      int32_t distances[kPiece];
      measure(logits, 3, units, distances);
      uint64_t weight = 0;
      for (size_t i = 0; i < size; ++i) {
        EXPECT_EQ(distances[i], token_distance(3, logits[i], units)) << i;
        if (distances[i] < kFarthest) weight += weight_at(distances[i]);
      }
      EXPECT_EQ(weight_of(logits, 3, units), weight) << size;
    }
}

TEST(Lanes, WhatIsNoNumberWeighsNothing) {
  const std::vector<float> logits = {std::nanf(""), 1, -HUGE_VALF, -200};
  EXPECT_EQ(largest_of(logits).value, 1);
  EXPECT_TRUE(largest_of(logits).has_nan);
  EXPECT_FALSE(largest_of(std::span(logits).subspan(1)).has_nan);
  int32_t distances[kPiece];
  measure(logits, 1, kUnitsPerBit, distances);
  for (const int i : {0, 2, 3}) EXPECT_EQ(distances[i], kFarthest);
  EXPECT_EQ(weight_of(logits, 1, kUnitsPerBit), uint64_t{kWholeWeight});
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
