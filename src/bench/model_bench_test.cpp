#include "bench/model_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::bench {
namespace {

TEST(ModelCases, AreNamedByTheirShapes) {
  const auto decode = decode_cases(std::vector{0, 4096}, 64);
  EXPECT_EQ(decode[0].name, "decode-64@0");
  EXPECT_EQ(decode[0].prompt_tokens, 1);
  EXPECT_EQ(decode[1].name, "decode-64@4096");
  EXPECT_EQ(decode[1].max_sequence_tokens(), 4096 + 1 + 64);
  EXPECT_TRUE(decode[1].same_prompt);
  const auto prefill = prefill_cases(std::vector{512});
  EXPECT_EQ(prefill[0].name, "prefill-512");
  EXPECT_FALSE(prefill[0].same_prompt);
  const auto batched = batched_cases(std::vector{1, 16}, 128, 64);
  EXPECT_EQ(batched[1].name, "batched-16x128+64");
  EXPECT_EQ(batched[0].max_sequence_tokens(), 128 + 1 + 64);
  EXPECT_GT(batched[1].max_sequence_tokens(), 128 + 1 + 64);
}

TEST(FloorOf, TakesTheTightestBound) {
  MachineLimits limits;
  limits.bandwidth = {{2, 1000, 100, 100}, {2, 1'000'000, 10, 10}};
  limits.compute = {{Arithmetic::kFloat32, "", 2, 50, 50}, {Arithmetic::kInt8, "", 2, 100, 100}};
  PhaseSample sample{.seconds = 1, .tokens = 10, .steps = 10, .work = {2'000'000'000, 1000}};
  const Floor memory = floor_of(sample, limits, Arithmetic::kFloat32, 2);
  EXPECT_STREQ(memory.bound, "memory");
  EXPECT_DOUBLE_EQ(memory.seconds, 0.2);

  sample.work.flops = 25'000'000'000;
  const Floor compute = floor_of(sample, limits, Arithmetic::kFloat32, 2);
  EXPECT_STREQ(compute.bound, "compute");
  EXPECT_DOUBLE_EQ(compute.seconds, 0.5);
  EXPECT_DOUBLE_EQ(floor_of(sample, limits, Arithmetic::kInt8, 2).seconds, 0.25);

  sample.work = {20'000, 0};  // 2000 a step: from a cache
  EXPECT_DOUBLE_EQ(floor_of(sample, limits, Arithmetic::kFloat32, 2).seconds, 2e-7);
}

TEST(Reduce, TakesTheRepetitionInTheMiddle) {
  const ModelCase model_case{.name = "case"};
  std::vector<CaseSample> samples;
  for (const double seconds : {1.0, 4.0, 2.0}) {
    CaseSample sample;
    sample.decode = {.seconds = seconds, .tokens = 8, .steps = 8, .work = {}};
    samples.push_back(sample);
  }
  const PhaseFigures figures = reduce(model_case, Phase::kDecode, samples);
  EXPECT_EQ(figures.name, "case");
  EXPECT_EQ(figures.tokens_per_s, (std::vector<double>{2, 4, 8}));
  EXPECT_EQ(figures.median.seconds, 2.0);
}

}  // namespace
}  // namespace erne::bench
