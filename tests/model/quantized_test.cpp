// What quantised weights cost on the dense goldens, and what 8-bit activations add.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "cpu/cpu_backend.h"
#include "golden.h"
#include "model/registry.h"
#include "model_run.h"

namespace erne::tests {
namespace {

class QuantizedGolden : public testing::TestWithParam<const char*> {
 protected:
  using Logits = std::vector<float>;

  static const QuantizationScheme* scheme() { return find_quantization(GetParam()); }
  // Of all prompts, one after the other.
  Logits logits(const GoldenCheckpoint& golden, const std::string& layout,
                const QuantizationScheme* quantization, LinearInput input) {
    model::ModelOptions options;
    options.activation = DType::kF32;
    options.quantization = quantization;
    options.input = input;
    const auto model = model::load_model(*backend_, golden.folder / layout, options);
    EXPECT_TRUE(model) << model.status().message;
    ModelRun run(*backend_, **model);
    Logits all;
    for (const GoldenPrompt& prompt : golden.prompts) {
      const Logits one = run.run_alone(prompt.input_ids, prompt.first_position);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
  static double mean_difference(const Logits& a, const Logits& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - b[i]);
    return sum / static_cast<double>(a.size());
  }

  std::unique_ptr<Backend> backend_ =
      cpu::make_cpu_backend(cpu::parse_cpu_isa("auto").value(), /*threads=*/2);
};

// 8-bit activations have as many steps as the weights of wint8, so what they add must be of the
// size of the error that wint8 makes, whatever the weights' own format; half as much again allows
// for activations whose largest value stands out more than a weight's does.
TEST_P(QuantizedGolden, eight_bit_activations_add_an_error_of_the_size_of_wint8) {
  for (const GoldenCheckpoint& golden : golden_checkpoints()) {
    const Logits exact = logits(golden, "pt", nullptr, LinearInput::kAsGiven);
    const Logits weights = logits(golden, "pt", scheme(), LinearInput::kAsGiven);
    const Logits both = logits(golden, "pt", scheme(), LinearInput::kInt8);
    const Logits wint8 = logits(golden, "pt", find_quantization("wint8"), LinearInput::kAsGiven);
    const double added = mean_difference(both, weights);
    std::printf("  %-11s %-6s mean |logit difference|: weights %.4f, 8-bit activations %.4f more\n",
                GetParam(), golden.name.c_str(), mean_difference(weights, exact), added);
    EXPECT_GT(added, 0);
    EXPECT_LE(added, 1.5 * mean_difference(wint8, exact));
  }
}

TEST_P(QuantizedGolden, both_layouts_give_the_same_bits) {
  for (const GoldenCheckpoint& golden : golden_checkpoints())
    EXPECT_EQ(logits(golden, "pt", scheme(), LinearInput::kInt8),
              logits(golden, "paddle", scheme(), LinearInput::kInt8))
        << golden.name;
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizedGolden,
                         testing::Values("wint8", "wint4", "wint4_g128", "wint4_g64"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace erne::tests
