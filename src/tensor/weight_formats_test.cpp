// What every encoding owes, whichever it is: formats/ are tested for their values beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tensor/encoded_rows.h"
#include "tensor/weight_format.h"

namespace erne {
namespace {

constexpr int64_t kOut = 150, kIn = 200;  // more rows than encode together, and a part of a group

std::vector<float> normal_weights() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(kOut * kIn);
  for (float& w : weights) w = normal(random);
  return weights;
}

std::vector<float> decoded(const EncodedRows& rows) {
  std::vector<float> out(rows.count * rows.in);
  for (int64_t row = 0; row < rows.count; ++row)
    rows.format->rules().decode(rows, row, std::span(out).subspan(row * rows.in, rows.in));
  return out;
}

class QuantizedFormats : public testing::TestWithParam<const WeightFormat*> {
 protected:
  const WeightFormat& format() const { return *GetParam(); }
};

TEST_P(QuantizedFormats, WhatIsDecodedIsNearWhatWasEncoded) {
  const std::vector<float> weights = normal_weights();
  EncodedRows rows(format(), kOut, kIn);
  format().rules().encode(weights, rows, 0);
  const std::vector<float> back = decoded(rows);
  double error = 0, power = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(back[i] - weights[i], 2);
    power += std::pow(weights[i], 2);
  }
  // No worse than as many steps as the bits allow, two of them unused, over eight deviations; and
  // two bits do far better.
  const double steps = std::pow(2, format().bits) - 2;
  EXPECT_LT(error / power, std::min(0.2, 64 / (12 * steps * steps) + 1e-3));
}

TEST_P(QuantizedFormats, PiecesThatEncodeTogetherMakeTheWhole) {
  const std::vector<float> weights = normal_weights();
  const EncodingRules& rules = format().rules();
  EncodedRows whole(format(), kOut, kIn), pieces(format(), kOut, kIn);
  rules.encode(weights, whole, 0);
  for (int64_t first = 0; first < kOut; first += rules.rows_at_once) {
    const int64_t count = std::min(rules.rows_at_once, kOut - first);
    rules.encode(std::span(weights).subspan(first * kIn, count * kIn), pieces, first);
  }
  EXPECT_EQ(pieces.codes, whole.codes);
  EXPECT_EQ(pieces.scales, whole.scales);
}

TEST_P(QuantizedFormats, DamageShowsInItsRowAndZerosStayZeros) {
  std::vector<float> weights(kOut * kIn);
  weights[3 * kIn + 7] = std::numeric_limits<float>::quiet_NaN();
  EncodedRows rows(format(), kOut, kIn);
  format().rules().encode(weights, rows, 0);
  const std::vector<float> back = decoded(rows);
  EXPECT_TRUE(std::isnan(back[3 * kIn + 7]));
  for (int64_t k = 0; k < kIn; ++k) EXPECT_EQ(back[140 * kIn + k], 0) << k;
}

INSTANTIATE_TEST_SUITE_P(, QuantizedFormats, testing::ValuesIn([] {
                           std::vector<const WeightFormat*> formats;
                           for (const WeightFormat& format : weight_formats())
                             if (format.is_quantized()) formats.push_back(&format);
                           return formats;
                         }()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(WeightFormats, NamesAreDistinctAndFound) {
  for (const WeightFormat& format : weight_formats())
    EXPECT_EQ(find_weight_format(format.name), &format);
  EXPECT_EQ(find_weight_format("wint3"), nullptr);
}

}  // namespace
}  // namespace erne
