#include "bench/case_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/manual_clock_fixture.h"

namespace erne::bench {
namespace {

// Answers 7 to everything. A step takes 10 us, and 1 us, 3 bytes and 5 operations per token.
class TimedExecutor final : public sched::Executor {
 public:
  explicit TimedExecutor(ManualClock& clock) : clock_(clock) {}
  kv::KvGeometry kv_geometry() const override {
    return {.device_blocks = 200, .host_blocks = 0, .block_tokens = 16};
  }
  sched::StepResult run(const sched::BatchPlan& plan) override {
    if (broken) return {.step = plan.step, .failure = Status{Code::kInternal, "no device"}};
    const int64_t tokens = std::ssize(plan.tokens);
    clock_.advance(10 + tokens);
    counters.bytes += 3 * tokens;
    counters.flops += 5 * tokens;
    sched::StepResult result{.step = plan.step};
    for (const sched::PlanRow& row : plan.rows) {
      result.rows.emplace_back();
      if (row.wants_token) result.rows.back().accepted = {7};
      if (row.first == 0) first_tokens.push_back(plan.tokens[row.tokens.begin]);
      starts.push_back(row.first);
    }
    return result;
  }

  OpCounters counters;
  bool broken = false;
  std::vector<sched::TokenId> first_tokens;  // of the prompts computed from their start
  std::vector<int> starts;                   // of all rows

 private:
  ManualClock& clock_;
};

class CaseRunnerTest : public testing::Test {
 protected:
  static sched::Limits limits() {
    sched::Limits limits;
    limits.max_rows = 8;
    limits.max_tokens = 64;
    limits.max_model_len = 600;
    return limits;
  }

  ManualClock clock_;
  TimedExecutor executor_{clock_};
  engine::Engine engine_{executor_, limits(), clock_};
  CaseRunner runner_{engine_, executor_.counters, clock_, {.num_tokens = 1 << 20}};
};

TEST_F(CaseRunnerTest, TimesPromptAndTokensApart) {
  const auto sample = runner_.run({.name = "", .prompt_tokens = 100, .new_tokens = 5});
  ASSERT_TRUE(sample.ok()) << sample.status().message;
  EXPECT_EQ(sample->prefill.tokens, 100);
  EXPECT_EQ(sample->prefill.steps, 2);  // of 64 tokens at most
  EXPECT_DOUBLE_EQ(sample->prefill.seconds, 120e-6);
  EXPECT_EQ(sample->prefill.work.bytes, 300);
  EXPECT_EQ(sample->decode.tokens, 5);
  EXPECT_EQ(sample->decode.steps, 5);
  EXPECT_DOUBLE_EQ(sample->decode.seconds, 55e-6);
  EXPECT_EQ(sample->decode.work.bytes, 15);
  EXPECT_EQ(sample->decode.work.flops, 25);
  EXPECT_FALSE(engine_.step());  // nothing is left
}

TEST_F(CaseRunnerTest, DecodesWithEverySequenceInEveryStep) {
  const auto sample =
      runner_.run({.name = "", .num_sequences = 8, .prompt_tokens = 40, .new_tokens = 12});
  ASSERT_TRUE(sample.ok()) << sample.status().message;
  EXPECT_EQ(sample->prefill.tokens, 8 * 40);
  EXPECT_GT(sample->prefill.steps, 4);  // the first ones decode meanwhile
  EXPECT_EQ(sample->decode.steps, 12);
  EXPECT_EQ(sample->decode.tokens, 8 * 12);
  EXPECT_FALSE(engine_.step());
}

TEST_F(CaseRunnerTest, PromptsAreNewUnlessTheCaseWantsTheSame) {
  const ModelCase cold{.name = "", .prompt_tokens = 33};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(runner_.run(cold).ok());
  ASSERT_EQ(executor_.first_tokens.size(), 3u);  // computed from the start
  EXPECT_NE(executor_.first_tokens[0], executor_.first_tokens[1]);
  EXPECT_NE(executor_.first_tokens[1], executor_.first_tokens[2]);

  const ModelCase warm{.name = "", .prompt_tokens = 33, .new_tokens = 1, .same_prompt = true};
  ASSERT_TRUE(runner_.run(warm).ok());
  executor_.starts.clear();
  ASSERT_TRUE(runner_.run(warm).ok());
  EXPECT_EQ(executor_.starts.front(), 32);  // two blocks came from the prefix cache
}

TEST_F(CaseRunnerTest, SaysWhyACaseCannotRun) {
  const auto long_one = runner_.run({.name = "", .prompt_tokens = 599, .new_tokens = 5});
  EXPECT_EQ(long_one.status().code, Code::kTooLong);
  executor_.broken = true;
  const auto broken = runner_.run({.name = "", .prompt_tokens = 3});
  EXPECT_THAT(broken.status().message, testing::HasSubstr("no device"));
}

TEST(CaseRunner, NoticesASequenceThatEndsTooSoon) {
  ManualClock clock;
  TimedExecutor executor(clock);
  sched::Limits limits{.max_rows = 8, .max_tokens = 8, .max_model_len = 600};
  engine::Engine engine(executor, limits, clock);
  CaseRunner runner(engine, executor.counters, clock, {.num_tokens = 100});
  // A token per sequence and step leaves the last prompts some 300 steps.
  const auto late =
      runner.run({.name = "", .num_sequences = 8, .prompt_tokens = 300, .new_tokens = 2});
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.status().message, testing::HasSubstr("--max-num-batched-tokens"));
}

}  // namespace
}  // namespace erne::bench
