// Every encoding's bytes, whatever they are: what is put into panels is what comes out of them.
#include "cpu/packing/panel_format.h"

#include <gtest/gtest.h>

#include <vector>

#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

constexpr int64_t kOut = 150, kIn = 203;  // a part of a panel, and of whatever a step is

class PanelFormats : public testing::TestWithParam<const WeightFormat*> {
 protected:
  const WeightFormat& format() const { return *GetParam(); }

  ThreadPool pool_{2};
};

std::vector<float> some_weights() {
  std::vector<float> weights(kOut * kIn);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(i * 7919 % 1009) / 512 - 1;
  return weights;
}

TEST_P(PanelFormats, RowsAreReadAsTheRulesDecodeThem) {
  std::vector<float> weights = some_weights(), expected = weights;
  if (format().is_quantized()) {
    EncodedRows rows(format(), kOut, kIn);
    format().rules().encode(weights, rows, 0);
    for (int64_t row = 0; row < kOut; ++row)
      format().rules().decode(rows, row, std::span(expected).subspan(row * kIn, kIn));
  }
  const size_t bytes = packed_bytes(format(), kOut, kIn);
  std::vector<std::byte> memory(bytes + 64);  // what is behind must stay as it is
  const PackedWeight packed = packed_weight(memory.data(), format(), kIn);
  pack_rows(packed, {weights.data(), DType::kF32, {kOut, kIn}}, 0, pool_);
  std::vector<float> row(kIn), panel(kIn * kPanel);
  for (int64_t n = 0; n < kOut; ++n) {
    if (n % kPanel == 0) read_panel(packed, n / kPanel, panel.data());
    panel_format(format().encoding).read_row(packed, n, row.data());
    for (int64_t k = 0; k < kIn; ++k) {
      const float w = expected[n * kIn + k];
      const bool is_rounded = format().stored == DType::kBf16;
      ASSERT_EQ(row[k], is_rounded ? to_float(to_bf16(w)) : w) << n << ", " << k;
      ASSERT_EQ(panel[k * kPanel + n % kPanel], row[k]);
    }
  }
  for (size_t i = bytes; i < memory.size(); ++i) ASSERT_EQ(memory[i], std::byte{0});
}

TEST_P(PanelFormats, EncodedRowsMakeTheBytesOfRowsAsLoaded) {
  if (!format().is_quantized()) GTEST_SKIP() << "plain rows are not encoded";
  std::vector<float> weights = some_weights();
  EncodedRows rows(format(), kOut, kIn);
  format().rules().encode(weights, rows, 0);
  const size_t bytes = packed_bytes(format(), kOut, kIn);
  std::vector<std::byte> packed(bytes), placed(bytes);
  pack_rows(packed_weight(packed.data(), format(), kIn), {weights.data(), DType::kF32, {kOut, kIn}},
            0, pool_);
  place_rows(packed_weight(placed.data(), format(), kIn), rows, 0, pool_);
  EXPECT_EQ(placed, packed);
}

INSTANTIATE_TEST_SUITE_P(, PanelFormats, testing::ValuesIn([] {
                           std::vector<const WeightFormat*> formats;
                           for (const WeightFormat& format : weight_formats())
                             formats.push_back(&format);
                           return formats;
                         }()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace erne::cpu
