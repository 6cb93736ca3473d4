// What quantised weights cost on the dense goldens, and what 8-bit activations add.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cpu/cpu_backend.h"
#include "golden.h"
#include "model/load_model.h"
#include "model_run.h"

namespace erne::tests {
namespace {

class QuantizedGolden : public testing::TestWithParam<const char*> {
 protected:
  using Logits = std::vector<float>;

  static const QuantizationScheme* scheme() { return find_quantization(GetParam()); }
  // Of all prompts, one after the other.
  Logits logits(const GoldenCheckpoint& golden, const std::string& layout,
                const QuantizationScheme* quantization, bool quantize_activations) {
    model::ModelOptions options;
    options.activation = DType::kF32;
    options.quantization = quantization;
    options.quantize_activations = quantize_activations;
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

  std::unique_ptr<Backend> backend_ = cpu::make_cpu_backend(cpu::best_cpu_isa(), /*threads=*/2);
};

// 8-bit activations have as many steps as the weights of wint8, so what they add must be of the
// size of the error that wint8 makes, whatever the weights' own format; half as much again allows
// for activations whose largest value stands out more than a weight's does. An fp8 number has an
// error of up to one in 16 of itself instead of one in 254 of the largest, which is a few times
// the group's deviation: ten times as much, at most.
TEST_P(QuantizedGolden, eight_bit_activations_add_an_error_of_the_size_of_wint8) {
  for (const GoldenCheckpoint& golden : golden_checkpoints()) {
    const Logits exact = logits(golden, "pt", nullptr, false);
    const Logits weights = logits(golden, "pt", scheme(), false);
    const Logits both = logits(golden, "pt", scheme(), true);
    const Logits wint8 = logits(golden, "pt", find_quantization("wint8"), false);
    const double added = mean_difference(both, weights);
    std::printf("  %-14s %-6s mean |logit difference|: weights %.4f, 8-bit activations %.4f more\n",
                GetParam(), golden.name.c_str(), mean_difference(weights, exact), added);
    const LinearInput input = scheme()->formats(!golden.routes.empty()).linears->input;
    EXPECT_GT(added, 0);
    EXPECT_LE(added, (input == LinearInput::kFp8 ? 10 : 1.5) * mean_difference(wint8, exact));
  }
}

TEST_P(QuantizedGolden, both_layouts_give_the_same_bits) {
  for (const GoldenCheckpoint& golden : golden_checkpoints())
    EXPECT_EQ(logits(golden, "pt", scheme(), true), logits(golden, "paddle", scheme(), true))
        << golden.name;
}

// The plain loops decode each weight as its format's header says: what every other set must equal.
TEST_P(QuantizedGolden, every_instruction_set_gives_the_bits_of_the_plain_loops) {
  for (const GoldenCheckpoint& golden : golden_checkpoints()) {
    const auto traced =
        std::ranges::find(golden.prompts, golden.traced_prompt, &GoldenPrompt::name);
    Logits plain;
    for (const cpu::CpuIsa isa : cpu::kCpuIsas) {
      if (!cpu::cpu_supports(isa)) continue;
      const auto backend = cpu::make_cpu_backend(isa, /*threads=*/2);
      model::ModelOptions options;
      options.quantization = scheme();
      options.quantize_activations = true;
      const auto model = model::load_model(*backend, golden.folder / "paddle", options).value();
      const Logits all = ModelRun(*backend, *model).run_alone(traced->input_ids, 0);
      if (plain.empty()) plain = all;
      EXPECT_EQ(all, plain) << golden.name << ", " << cpu::cpu_isa_name(isa);
    }
  }
}

std::vector<const char*> scheme_names() {
  std::vector<const char*> names;
  for (const QuantizationScheme& scheme : quantization_schemes()) names.push_back(scheme.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Schemes, QuantizedGolden, testing::ValuesIn(scheme_names()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace erne::tests
