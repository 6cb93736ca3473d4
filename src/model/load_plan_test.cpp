#include "model/load_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::model {
namespace {

using testing::HasSubstr;

const ErnieConfig kDense;

TEST(LoadPlan, what_is_asked_for_comes_before_what_the_checkpoint_asks_for) {
  const CheckpointFacts plain, wint4{.scheme = find_quantization("wint4")};
  const ModelOptions none, wint8{.quantization = find_quantization("wint8")};
  EXPECT_EQ(resolve(kDense, plain, none)->scheme, nullptr);
  EXPECT_TRUE(resolve(kDense, plain, none)->formats.is_none());
  EXPECT_EQ(resolve(kDense, plain, wint8)->scheme, wint8.quantization);
  EXPECT_EQ(resolve(kDense, wint4, none)->scheme, wint4.scheme);
  EXPECT_EQ(resolve(kDense, wint4, wint8)->scheme, wint8.quantization);
  EXPECT_STREQ(resolve(kDense, wint4, wint8)->formats.linears->name, "wint8");
}

TEST(LoadPlan, a_packed_checkpoint_is_what_it_is) {
  const CheckpointFacts packed{.is_packed = true, .scheme = find_quantization("wint4")};
  EXPECT_EQ(resolve(kDense, packed, {})->scheme, packed.scheme);
  EXPECT_TRUE(resolve(kDense, packed, {.quantization = packed.scheme}));
  const auto refused = resolve(kDense, packed, {.quantization = find_quantization("wint8")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.status().param, "--quantization");
  EXPECT_THAT(refused.status().message, HasSubstr("quantised already, to wint4"));
}

TEST(LoadPlan, the_kv_cache_is_as_asked_or_as_the_scheme_has_it_or_as_activations) {
  const CheckpointFacts plain, c8{.scheme = find_quantization("w4a8c8")};
  const auto kv = [](const CheckpointFacts& facts, DType activation, const char* asked) {
    return resolve(kDense, facts, {.activation = activation, .kv_dtype = asked})->kv;
  };
  EXPECT_EQ(kv(plain, DType::kBf16, "auto"), DType::kBf16);
  EXPECT_EQ(kv(plain, DType::kF32, "auto"), DType::kF32);
  EXPECT_EQ(kv(plain, DType::kF32, "fp8"), DType::kFp8);
  EXPECT_EQ(kv(c8, DType::kBf16, "auto"), DType::kI8);
  EXPECT_EQ(kv(c8, DType::kBf16, "bfloat16"), DType::kBf16);
}

TEST(LoadPlan, inputs_are_quantised_where_the_options_say_so_and_the_format_has_a_way) {
  const WeightFormat& wint8 = *find_weight_format("wint8");
  EXPECT_EQ(resolve(kDense, {}, {})->input_of(wint8), LinearInput::kAsGiven);
  const auto plan = resolve(kDense, {}, {.quantize_activations = true});
  EXPECT_EQ(plan->input_of(wint8), LinearInput::kInt8);
  EXPECT_EQ(plan->input_of(plain_format(DType::kBf16)), LinearInput::kAsGiven);
}

}  // namespace
}  // namespace erne::model
