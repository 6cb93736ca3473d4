#include "engine/step_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/counter_rng.h"

namespace erne::engine {
namespace {

constexpr double kSlowdown = 2.5;
constexpr int kMaxTokens = 512;

// Microseconds of a step with this many tokens of either kind.
using Machine = std::function<double(int decode_tokens, int prompt_tokens)>;

Machine linear(double first_row_us, double further_row_us, double token_us) {
  return [=](int decode, int prompt) {
    return first_row_us + further_row_us * (decode - 1) + token_us * prompt;
  };
}
// Waits for memory until there is enough to compute.
Machine roofline(double memory_us, double token_us) {
  return [=](int decode, int prompt) { return std::max(memory_us, token_us * (decode + prompt)); };
}
// Computes tokens by sixes.
Machine stairs(double six_us) {
  return [=](int decode, int prompt) { return six_us * ((decode + prompt + 5) / 6); };
}

// A pacer on a machine. Prompts are endless unless the test says how much is left of them.
class Pace {
 public:
  explicit Pace(Machine machine, double slowdown = kSlowdown)
      : machine_(std::move(machine)), pacer_(slowdown, kMaxTokens) {}

  // One step; returns its time over that of decoding alone.
  double step(int decode, int prompt_left = kMaxTokens, double disturbed = 1) {
    budget = pacer_.budget(decode);
    EXPECT_GE(budget, decode);
    EXPECT_LE(budget, kMaxTokens);
    // The scheduler gives a prompt one token at least.
    prompt = std::min(std::max(budget - decode, 1), prompt_left);
    const double us = machine_(decode, prompt);
    pacer_.observe({decode, prompt, static_cast<int64_t>(us * disturbed)});
    return us / machine_(decode, 0);
  }
  void decode(int rows, int steps) {
    for (int i = 0; i < steps; ++i) step(rows, 0);
  }
  // The slowest and the fastest but the looks at idle time.
  struct Range {
    double low, high;
  };
  Range steps(int decode, int count) {
    Range range{1e9, 0};
    for (int i = 0; i < count; ++i) {
      const double slowdown = step(decode);
      range.high = std::max(range.high, slowdown);
      if (budget > decode) range.low = std::min(range.low, slowdown);
    }
    return range;
  }

  Machine machine_;
  StepPacer pacer_;
  int budget = 0, prompt = 0;  // of the last step
};

TEST(StepPacer, WhereNobodyDecodesAPromptTakesEverything) {
  Pace pace(linear(20e3, 1e3, 2e3));
  EXPECT_EQ(pace.pacer_.budget(0), kMaxTokens);
  pace.decode(1, 5);
  EXPECT_EQ(pace.pacer_.budget(0), kMaxTokens);
}

TEST(StepPacer, WithoutPacingAStepTakesEverything) {
  Pace pace(linear(20e3, 1e3, 2e3), kNoPacing);
  pace.decode(1, 5);
  pace.steps(1, 5);
  EXPECT_EQ(pace.budget, kMaxTokens);
}

// 1.5 idle steps' worth of prompt, reached from below, whatever the machine's speed.
TEST(StepPacer, FindsTheChunkThatMeetsTheTarget) {
  for (const double speed : {0.01, 1.0, 100.0}) {
    Pace pace(linear(20e3 * speed, 1e3 * speed, 500 * speed));
    pace.decode(1, 3);
    EXPECT_EQ((pace.step(1), pace.prompt), 8);
    EXPECT_LE(pace.steps(1, 8).high, kSlowdown);
    for (int i = 0; i < 20; ++i) EXPECT_EQ((pace.step(1), pace.prompt), 60);
    EXPECT_EQ(pace.budget, 61);
  }
}

TEST(StepPacer, SettlesOnMachinesThatAreNotLinear) {
  const Machine machines[] = {roofline(20e3, 500), roofline(20e3, 3e3), stairs(20e3), stairs(500),
                              [](int d, int p) { return 1e4 + d * 100 + p * 50 + p * p * 2; }};
  for (const Machine& machine : machines) {
    Pace pace(machine);
    pace.decode(2, 3);
    pace.steps(2, 15);
    const Pace::Range settled = pace.steps(2, 100);
    EXPECT_LE(settled.high, 3.0);
    EXPECT_GE(settled.low, 1.6);
  }
}

TEST(StepPacer, ATokenThatCostsNothingMeansEverything) {
  Pace pace(linear(20e3, 1e3, 0));
  pace.decode(1, 3);
  pace.steps(1, 10);
  EXPECT_EQ(pace.budget, kMaxTokens);
}

TEST(StepPacer, PromptsGoOnWhereEveryTokenIsTooMuch) {
  Pace pace(linear(1e3, 1e3, 5e3));
  pace.decode(1, 3);
  pace.steps(1, 10);
  EXPECT_EQ(pace.budget, 1 + 2);
}

TEST(StepPacer, AClockThatStandsStillIsNoTrouble) {
  Pace pace(linear(0, 0, 0));
  pace.decode(1, 3);
  pace.steps(1, 100);
  EXPECT_EQ(pace.budget, kMaxTokens);
}

TEST(StepPacer, KnowsTheIdleTimeOfEveryNumberOfRows) {
  Pace pace(linear(10e3, 10e3, 1e3));
  for (const int rows : {1, 4}) pace.decode(rows, 3);
  pace.steps(1, 5);
  EXPECT_EQ(pace.prompt, 15);
  pace.steps(4, 10);
  EXPECT_EQ(pace.prompt, 60);
  pace.step(1);
  EXPECT_EQ(pace.prompt, 15);
}

// Prompts from the first step on: idle time is seen in steps that carry next to none.
TEST(StepPacer, LearnsWithoutAnyDecodeOnlyStep) {
  Pace pace(linear(20e3, 1e3, 500));
  pace.steps(1, 70);
  EXPECT_NEAR(pace.prompt, 60, 2);
  pace.steps(7, 70);
  EXPECT_NEAR(pace.prompt, 78, 2);
}

TEST(StepPacer, LooksAtTheIdleTimeAgainWhilePromptsNeverEnd) {
  Pace pace(linear(20e3, 1e3, 500));
  pace.decode(1, 3);
  int looks = 0;
  for (int i = 0; i < 32 * 33; ++i) {
    pace.step(1);
    looks += pace.budget == 1;
  }
  EXPECT_EQ(looks, 32);
  pace.machine_ = linear(40e3, 1e3, 500);  // contexts have grown
  pace.steps(1, 200);
  EXPECT_NEAR(pace.prompt, 120, 4);
}

TEST(StepPacer, FollowsAChangeOfSpeedWithinAFewSteps) {
  Pace pace(linear(20e3, 1e3, 500));
  pace.decode(1, 3);
  pace.steps(1, 10);
  pace.machine_ = linear(20e3, 1e3, 2e3);  // far into a long prompt
  pace.steps(1, 2);
  EXPECT_LE(pace.steps(1, 30).high, 2.6);
  EXPECT_EQ(pace.prompt, 15);
  pace.machine_ = linear(20e3, 1e3, 500);
  pace.steps(1, 8);
  EXPECT_EQ(pace.prompt, 60);
}

// All steps become four times as fast, long before it is time to look at idle time again.
TEST(StepPacer, DoesNotTakeAFasterMachineForFreeTokens) {
  Pace pace(roofline(80e3, 2e3));
  pace.decode(1, 3);
  pace.steps(1, 15);
  pace.machine_ = roofline(20e3, 500);
  pace.steps(1, 4);
  EXPECT_LE(pace.steps(1, 100).high, 3.0);
}

TEST(StepPacer, OneOutlierChangesNothing) {
  Pace pace(linear(20e3, 1e3, 500));
  pace.step(1, 0, 10);  // the very first step touches all memory
  pace.decode(1, 3);
  pace.steps(1, 10);
  pace.step(1, kMaxTokens, 10);
  pace.step(1);
  EXPECT_EQ(pace.prompt, 60);
  pace.step(1, 0, 10);
  pace.step(1);
  EXPECT_EQ(pace.prompt, 60);
  pace.step(1, 3, 10);  // the last tokens of a prompt
  pace.step(1);
  EXPECT_EQ(pace.prompt, 60);
}

// On a machine where few tokens are free, they must not teach that many are.
TEST(StepPacer, ShortPromptsTeachNothingAboutLongOnes) {
  Pace pace(roofline(20e3, 500));
  pace.decode(1, 3);
  pace.steps(1, 20);
  for (int i = 0; i < 20; ++i) pace.step(1, 20);
  EXPECT_LE(pace.steps(1, 20).high, 2.6);
}

TEST(StepPacer, AStepMoreThanTheBudgetAllowedIsALesson) {
  Pace pace(linear(20e3, 1e3, 500));
  pace.decode(1, 1);
  // Nobody decodes when the budget is asked for; a prompt of one token comes with a long one.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(pace.pacer_.budget(0), kMaxTokens);
    pace.pacer_.observe({1, 511, 20000 + 511 * 500});
  }
  pace.step(1);
  EXPECT_EQ(pace.prompt, 60);
}

TEST(StepPacer, NoiseMovesItLittle) {
  Pace pace(linear(20e3, 1e3, 500));
  const CounterRng noise(1, 0);
  const auto disturbance = [&](int i) { return 0.9 + 0.2 * noise.uniform(i); };
  for (int i = 0; i < 5; ++i) pace.step(1, 0, disturbance(i));
  for (int i = 5; i < 10; ++i) pace.step(1, kMaxTokens, disturbance(i));
  for (int i = 10; i < 500; ++i) EXPECT_LE(pace.step(1, kMaxTokens, disturbance(i)), 3.0);
}

}  // namespace
}  // namespace erne::engine
