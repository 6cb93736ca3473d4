#include "tensor/formats/ccq.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tensor/quantization.h"

namespace erne::ccq {
namespace {

// The example of docs/ernie-models.md, 8.3.
TEST(Ccq, TheExampleWorkedByHand) {
  const int code = code_of(100, 128, 0);
  EXPECT_EQ(code, 12800);
  const int expected[] = {-7, -24, -32, -32};
  for (int j = 0; j < kPerByte; ++j) EXPECT_EQ(window(code, j), expected[j]);
  EXPECT_EQ(decode(code, 0, 3, to_bf16(0.5f)), -10.5f);
  EXPECT_EQ(decode(code, 1, 0, to_bf16(0.5f)), 0);
}

TEST(Ccq, CodesRoundAndStayInFifteenBits) {
  EXPECT_EQ(code_of(1, 0.5f, 0), 1);      // floor(0.5 + 0.5)
  EXPECT_EQ(code_of(1, 0.25f, 0.2f), 0);  // floor(0.95)
  EXPECT_EQ(code_of(255, 128, 127), 32767);
  EXPECT_EQ(code_of(255, 129, 0), 0) << "no checkpoint should hold it: cut off";
  EXPECT_EQ(code_of(0, 1, -3), 0);
}

struct Encoded {
  std::vector<uint8_t> bytes, locals;
  Bf16 super;

  explicit Encoded(const std::vector<float>& weights)
      : bytes(num_bytes(std::ssize(weights))), locals(num_locals(std::ssize(weights))) {
    Row row{bytes, locals};
    Encoder().encode(weights, row);
    super = row.super;
  }
  float at(int64_t k) const {
    return decode(code_of(bytes[k / kPerByte], kCodeScale, 0), static_cast<int>(k % kPerByte),
                  locals[k / kLocalGroup], super);
  }
};

// As good as four levels for each weight by itself would be, 0.118, or a little worse for the
// scales, which are coarse.
TEST(Ccq, TheEncodersErrorOnNormalWeightsIsThatOfTwoBits) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> weights(8192);
  for (float& w : weights) w = normal(random);
  const Encoded encoded(weights);
  double error = 0, power = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    error += std::pow(encoded.at(static_cast<int64_t>(k)) - weights[k], 2);
    power += std::pow(weights[k], 2);
  }
  EXPECT_LT(error / power, 0.13);
  EXPECT_GT(error / power, 0.06) << "below what two bits allow (rate distortion): not two bits";
}

TEST(Ccq, GroupsHaveScalesOfTheirOwn) {
  std::vector<float> weights(192);
  for (int k = 0; k < 64; ++k) weights[k] = k % 2 ? 1 : -1;
  for (int k = 64; k < 128; ++k) weights[k] = k % 2 ? 0.2f : -0.2f;  // the last group is zeros
  const Encoded encoded(weights);
  EXPECT_EQ(encoded.locals[0], kLargestLocal);
  EXPECT_EQ(encoded.locals[1], 3);
  EXPECT_EQ(encoded.locals[2], 0);
  for (int k = 128; k < 192; ++k) EXPECT_EQ(encoded.at(k), 0);
}

TEST(Ccq, ZerosStayZerosAndDamageStaysVisible) {
  const Encoded zeros(std::vector<float>(70));
  for (int k = 0; k < 70; ++k) EXPECT_EQ(zeros.at(k), 0);
  for (const float damage : {HUGE_VALF, std::nanf("")}) {
    std::vector<float> weights(70, 1.0f);
    weights[66] = damage;
    EXPECT_TRUE(std::isnan(to_float(Encoded(weights).super)));
  }
}

TEST(Quantization, EveryPartOfEverySchemeHasAFormat) {
  for (const QuantizationScheme& scheme : quantization_schemes())
    for (const bool has_experts : {false, true}) {
      const Quantization formats = scheme.formats(has_experts);
      for (const WeightFormat* part : {formats.linears, formats.experts, formats.first_experts}) {
        ASSERT_NE(part, nullptr) << scheme.name;
        EXPECT_TRUE(part->is_quantized());
        EXPECT_GT(part->bytes(64, 256), 64 * 256 * part->bits / 8);
      }
    }
}

TEST(Quantization, NamesMeanWhatFastDeployMeans) {
  const auto names = [](const char* scheme, bool has_experts) {
    const Quantization q = find_quantization(scheme)->formats(has_experts);
    return std::vector<std::string>{q.linears->name, q.experts->name, q.first_experts->name};
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("wint4", true), (Names{"wint8", "wint4", "wint4"}));
  EXPECT_EQ(names("wint4", false)[0], "wint4");
  EXPECT_EQ(names("wint2", true), (Names{"wint8", "wint2", "wint4"}));
  EXPECT_EQ(names("block_wise_fp8", true)[0], "block_wise_fp8");
  EXPECT_STREQ(find_quantization("w4a8c8")->kv, "int8");
}

}  // namespace
}  // namespace erne::ccq
