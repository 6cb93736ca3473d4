// Random campaigns against the scheduler and its cache. By default ERNE_SCENARIOS of them;
//   --scenarios=N  another number
//   --seed=N       this one alone, to repeat a failure
// A CHECK that fails inside prints its seed as well.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "campaign.h"

namespace erne::property {
namespace {

uint64_t first_seed = 1;
uint64_t num_scenarios = ERNE_SCENARIOS;
char replay_hint[80];

void begin_seed(uint64_t seed) {
  std::snprintf(replay_hint, sizeof replay_hint, "\nrepeat with --seed=%llu\n",
                static_cast<unsigned long long>(seed));
}

extern "C" void print_replay_hint(int) {
  if (write(STDERR_FILENO, replay_hint, std::char_traits<char>::length(replay_hint)) < 0) return;
}

TEST(SchedulerCampaign, EveryTextIsTheSequentialOne) {
  Outcome sum;
  for (uint64_t seed = first_seed; seed < first_seed + num_scenarios; ++seed) {
    begin_seed(seed);
    const Scenario scenario = make_scenario(seed);
    const Outcome outcome = run_scenario(scenario);
    ASSERT_EQ(outcome.fault, "") << replay_hint;
    if (seed % 4 == 1) {
      ASSERT_EQ(run_scenario(scenario).digest, outcome.digest) << "other plans" << replay_hint;
    }
    sum.steps += outcome.steps;
    sum.preemptions += outcome.preemptions;
    sum.cached_tokens += outcome.cached_tokens;
    sum.copies += outcome.copies;
    sum.accepted_drafts += outcome.accepted_drafts;
    sum.rejected_drafts += outcome.rejected_drafts;
    sum.cancelled += outcome.cancelled;
    sum.refused += outcome.refused;
    sum.chunked_rows += outcome.chunked_rows;
    sum.cut_steps += outcome.cut_steps;
    sum.waits_for_a_row += outcome.waits_for_a_row;
    sum.longest_wait = std::max(sum.longest_wait, outcome.longest_wait);
  }
  fmt::print(
      "{} scenarios, {} steps: {} preemptions, {} cached tokens, {} copies between tiers, {} "
      "drafts "
      "accepted, {} rejected, {} cancelled, {} refused, {} chunks, {} steps cut by their budget, "
      "{} waits for "
      "a row, the longest {:.2f} steps for each token\n",
      num_scenarios, sum.steps, sum.preemptions, sum.cached_tokens, sum.copies, sum.accepted_drafts,
      sum.rejected_drafts, sum.cancelled, sum.refused, sum.chunked_rows, sum.cut_steps,
      sum.waits_for_a_row, sum.longest_wait);
  if (num_scenarios < 1000) return;
  // A campaign that does not meet the hard cases proves nothing.
  const int64_t few = static_cast<int64_t>(num_scenarios) / 10;
  EXPECT_GT(sum.preemptions, few);
  EXPECT_GT(sum.cached_tokens, few);
  EXPECT_GT(sum.copies, few);
  EXPECT_GT(sum.accepted_drafts, few);
  EXPECT_GT(sum.rejected_drafts, few);
  EXPECT_GT(sum.cancelled, few);
  EXPECT_GT(sum.refused, few);
  EXPECT_GT(sum.chunked_rows, few);
  EXPECT_GT(sum.cut_steps, few);
  EXPECT_GT(sum.waits_for_a_row, few);
}

uint64_t number_after(std::string_view argument, std::string_view flag) {
  return std::strtoull(argument.substr(flag.size()).data(), nullptr, 10);
}

}  // namespace

void read_flags(int argc, char** argv) {
  for (std::string_view argument : std::span(argv + 1, argc - 1)) {
    if (argument.starts_with("--scenarios=")) {
      num_scenarios = number_after(argument, "--scenarios=");
    } else if (argument.starts_with("--seed=")) {
      first_seed = number_after(argument, "--seed=");
      num_scenarios = 1;
    } else {
      fmt::print(stderr, "{}: not a flag of this test\n", argument);
      std::exit(2);
    }
  }
  std::signal(SIGABRT, print_replay_hint);
}

}  // namespace erne::property

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  erne::property::read_flags(argc, argv);
  return RUN_ALL_TESTS();
}
