#include "weights/quantized_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

class QuantizedTensorTest : public testing::Test {
 protected:
  Result<std::optional<QuantizedTensor>> find(const std::vector<FixtureTensor>& tensors,
                                              int64_t out, int64_t in, bool transposed = false) {
    folder_.write("model.safetensors", safetensors_file(tensors));
    checkpoint_.emplace(Checkpoint::open(folder_.path()).value());
    return QuantizedTensor::find(*checkpoint_, "x.weight", out, in, transposed);
  }
  std::vector<float> read(const std::vector<FixtureTensor>& tensors, int64_t out, int64_t in,
                          bool transposed = false) {
    const auto found = find(tensors, out, in, transposed);
    if (!found || !*found) {
      ADD_FAILURE() << (found ? "not quantised" : found.status().message);
      return {};
    }
    std::vector<float> values(out * in);
    (*found)->read_rows(0, 1, values.data());
    (*found)->read_rows(1, out - 1, values.data() + in);
    return values;
  }

  TempFolder folder_;
  std::optional<Checkpoint> checkpoint_;
};

const FixtureTensor kTwoScales = {"x.weight_scale", "F32", {2}, f32_bytes({0.5f, 2})};

TEST_F(QuantizedTensorTest, Int8EitherWayRound) {
  const auto codes = [](std::vector<int64_t> shape, std::initializer_list<int> values) {
    return FixtureTensor{"x.quant_weight", "I8", std::move(shape), bytes(values)};
  };
  const auto expected = ElementsAre(0.5f, -1, 1.5f, 8, -254, 12);
  EXPECT_THAT(read({codes({2, 3}, {1, -2, 3, 4, -127, 6}), kTwoScales}, 2, 3), expected);
  EXPECT_THAT(read({codes({3, 2}, {1, 4, -2, -127, 3, 6}), kTwoScales}, 2, 3), expected);
  // A square one lies as the checkpoint's others do.
  EXPECT_THAT(read({codes({2, 2}, {1, 2, 3, 4}), kTwoScales}, 2, 2), ElementsAre(0.5f, 1, 6, 8));
  EXPECT_THAT(read({codes({2, 2}, {1, 2, 3, 4}), kTwoScales}, 2, 2, true),
              ElementsAre(0.5f, 1.5f, 4, 8));
}

TEST_F(QuantizedTensorTest, Int4HasTheEvenInputInTheLowHalf) {
  const auto expected = ElementsAre(0.5f, -0.5f, 3.5f, -3.5f, 4, 0, -4, 2);
  EXPECT_THAT(
      read({{"x.quant_weight", "I8", {2, 2}, bytes({0xF1, 0x97, 0x02, 0x1E})}, kTwoScales}, 2, 4),
      expected);
  EXPECT_THAT(read({{"x.quant_weight", "U8", {2, 2}, bytes({0xF1, 0x02, 0x97, 0x1E})},
                    {"x.weight_scale", "BF16", {2}, bf16_bytes({0.5f, 2})}},
                   2, 4, true),
              expected);
}

TEST_F(QuantizedTensorTest, Fp8HasAScaleForEachTile) {
  std::string codes(130 * 2, '\x38');  // 1.0
  codes[129 * 2] = '\x40';             // 2.0
  const std::vector<float> values = read({{"x.weight", "F8_E4M3", {130, 2}, codes},
                                          {"x.weight_scale_inv", "F32", {2, 1}, f32_bytes({3, 5})}},
                                         130, 2);
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[127 * 2 + 1], 3);
  EXPECT_EQ(values[128 * 2], 5);
  EXPECT_EQ(values[129 * 2], 10);
}

// The example of docs/ernie-models.md, 8.3, in the first output.
TEST_F(QuantizedTensorTest, Wint2HasTheEvenGroupInTheHighHalf) {
  const int64_t in = 72;
  std::string codes(2 * in / 4, '\0');
  codes[0] = 100;           // inputs 0..3 of output 0
  codes[2 * 64 / 4] = 100;  // inputs 64..67
  const std::vector<float> values = read({{"x.quant_weight", "U8", {in / 4, 2}, codes},
                                          {"x.code_scale", "F32", {2}, f32_bytes({128, 128})},
                                          {"x.code_zp", "F32", {2}, f32_bytes({0, 0})},
                                          {"x.weight_scale", "U8", {1, 2}, bytes({0x31, 0x11})},
                                          {"x.super_scales", "BF16", {2}, bf16_bytes({0.5f, 1})}},
                                         2, in);
  const float expected[] = {-7, -24, -32, -32};
  for (int j = 0; j < 4; ++j) {
    EXPECT_EQ(values[j], expected[j] * 1.5f);
    EXPECT_EQ(values[64 + j], expected[j] * 0.5f);
  }
  EXPECT_EQ(values[in], -32);  // of byte 0: code 0
}

TEST_F(QuantizedTensorTest, CodesAreReadAsTheyAre) {
  const auto encoded = [&](const std::vector<FixtureTensor>& tensors, const char* format,
                           int64_t in, bool transposed = false) {
    const auto tensor = find(tensors, 2, in, transposed).value().value();
    EXPECT_TRUE(tensor.has_codes_of(*find_weight_format(format)));
    EXPECT_FALSE(tensor.has_codes_of(*find_weight_format("wint4_g64")));
    EncodedRows rows(*find_weight_format(format), 3, in);  // from its second row on
    EXPECT_TRUE(tensor.read_encoded(0, 1, rows, 1));
    EXPECT_TRUE(tensor.read_encoded(1, 1, rows, 2));
    return rows;
  };
  const FixtureTensor codes = {"x.quant_weight", "I8", {3, 2}, bytes({1, 4, -2, -127, 3, 6})};
  const EncodedRows int8 = encoded({codes, kTwoScales}, "wint8", 3);
  EXPECT_THAT(int8.codes, ElementsAre(0, 0, 0, 129, 126, 131, 132, 1, 134));
  EXPECT_THAT(int8.scales, ElementsAre(0, 0.5f, 2));

  const FixtureTensor nibbles = {"x.quant_weight", "I8", {2, 2}, bytes({0xF1, 0x97, 0x02, 0x1E})};
  const EncodedRows int4 = encoded({nibbles, kTwoScales}, "w4afp8", 4);
  EXPECT_THAT(int4.codes, ElementsAre(0, 0, 0, 0, 9, 7, 15, 1, 10, 8, 6, 9));

  const EncodedRows fp8 = encoded({{"x.weight", "F8_E4M3", {2, 2}, bytes({1, 2, 3, 4})},
                                   {"x.weight_scale_inv", "F32", {1, 1}, f32_bytes({3})}},
                                  "block_wise_fp8", 2);
  EXPECT_THAT(fp8.codes, ElementsAre(0, 0, 1, 2, 3, 4));
  EXPECT_THAT(fp8.scales, ElementsAre(0, 3, 3));

  const EncodedRows ccq = encoded({{"x.quant_weight", "U8", {2, 2}, bytes({1, 2, 3, 4})},
                                   {"x.code_scale", "F32", {2}, f32_bytes({128, 129})},
                                   {"x.code_zp", "F32", {2}, f32_bytes({5, 6})},
                                   {"x.weight_scale", "U8", {1, 2}, bytes({0x31, 0x71})},
                                   {"x.super_scales", "BF16", {2}, bf16_bytes({0.5f, 1})}},
                                  "wint2", 8);
  // Bytes, then local scales; super scale, code scale, code zero.
  EXPECT_THAT(ccq.codes, ElementsAre(0, 0, 0, 1, 3, 3, 2, 4, 7));
  EXPECT_THAT(ccq.scales, ElementsAre(0, 0, 0, 0.5f, 128, 5, 1, 129, 6));
}

TEST_F(QuantizedTensorTest, ACodeOutsideTheFormatIsRefused) {
  const FixtureTensor codes = {"x.quant_weight", "I8", {2, 1}, bytes({1, -128})};
  const auto tensor = find({codes, kTwoScales}, 2, 1).value().value();
  EncodedRows rows(*find_weight_format("wint8"), 2, 1);
  const auto read = tensor.read_encoded(0, 2, rows, 0);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.status().param, "x.quant_weight");
}

TEST_F(QuantizedTensorTest, OtherMatricesAreNotQuantised) {
  const auto plain = find({{"x.weight", "F32", {1, 2}, f32_bytes({1, 2})}}, 1, 2);
  ASSERT_TRUE(plain);
  EXPECT_FALSE(*plain);
  EXPECT_FALSE(*find({{"y.weight", "F32", {1, 2}, f32_bytes({1, 2})}}, 1, 2));
}

TEST_F(QuantizedTensorTest, WrongPartsAreRefusedByName) {
  const FixtureTensor codes = {"x.quant_weight", "I8", {2, 3}, bytes({1, 2, 3, 4, 5, 6})};
  EXPECT_EQ(find({codes}, 2, 3).status().param, "x.weight_scale");
  EXPECT_EQ(
      find({codes, {"x.weight_scale", "F32", {3}, f32_bytes({1, 2, 3})}}, 2, 3).status().param,
      "x.weight_scale");
  const auto shape = find({codes, kTwoScales}, 2, 7);
  EXPECT_EQ(shape.status().param, "x.quant_weight");
  EXPECT_THAT(shape.status().message, HasSubstr("found I8 [2, 3], expected int8 [2, 7]"));
}

}  // namespace
}  // namespace erne::weights
