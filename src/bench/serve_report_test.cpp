#include "bench/serve_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::bench {
namespace {

using testing::HasSubstr;

RequestOutcome completed(int64_t start_us, std::vector<TokenEvent> events, int64_t end_us) {
  RequestOutcome outcome;
  outcome.start_us = start_us;
  outcome.end_us = end_us;
  outcome.input_tokens = 10;
  for (const TokenEvent& event : events) outcome.output_tokens += event.num_tokens;
  outcome.events = std::move(events);
  outcome.finish_reason = "length";
  return outcome;
}

RequestOutcome failed(std::string reason) {
  RequestOutcome outcome;
  outcome.start_us = 500;
  outcome.end_us = 600;
  outcome.failure = std::move(reason);
  return outcome;
}

TEST(ServeReport, ComputesLatenciesFromEvents) {
  const RequestOutcome outcomes[] = {
      completed(1000, {{11'000, 1}, {21'000, 1}, {41'000, 2}}, 42'000),
      completed(2000, {{5000, 1}}, 6000),  // one token: a TTFT, but nothing between tokens
  };
  const ServeReport report = make_report(outcomes, DecodeFloor{20'000'000, 10});
  EXPECT_DOUBLE_EQ(report.duration_s, 0.041);
  EXPECT_EQ(report.completed, 2);
  EXPECT_EQ(report.input_tokens, 20);
  EXPECT_EQ(report.output_tokens, 5);
  EXPECT_EQ(report.ttft_ms.count, 2);
  EXPECT_DOUBLE_EQ(report.ttft_ms.max, 10);
  EXPECT_DOUBLE_EQ(report.ttft_ms.mean, 6.5);
  EXPECT_EQ(report.tpot_ms.count, 1);
  EXPECT_DOUBLE_EQ(report.tpot_ms.p50, 10);  // 30 ms for the 3 tokens after the first
  EXPECT_EQ(report.itl_ms.count, 2);
  EXPECT_DOUBLE_EQ(report.itl_ms.max, 20);
  EXPECT_DOUBLE_EQ(report.e2e_ms.max, 41);
  EXPECT_DOUBLE_EQ(report.per_second(report.output_tokens), 5 / 0.041);

  const Json json = to_json(report);
  EXPECT_DOUBLE_EQ(json.find("floor")->find("decode_step_ms")->as_double(), 2);
  EXPECT_DOUBLE_EQ(json.find("floor")->find("tpot_p50_over_floor")->as_double(), 5);
  EXPECT_THAT(to_text(report), HasSubstr("measured / floor  5.00"));
}

TEST(ServeReport, CountsFailuresByReasonAndKeepsThemOutOfTheLatencies) {
  const RequestOutcome outcomes[] = {failed("HTTP 429: full"), failed("reset"),
                                     failed("HTTP 429: full"), completed(0, {{10, 1}}, 20)};
  const ServeReport report = make_report(outcomes, std::nullopt);
  EXPECT_EQ(report.failed, 3);
  EXPECT_EQ(report.completed, 1);
  EXPECT_EQ(report.ttft_ms.count, 1);
  ASSERT_EQ(report.failures.size(), 2u);
  EXPECT_EQ(report.failures[0], (std::pair<std::string, int64_t>("HTTP 429: full", 2)));
  EXPECT_THAT(to_text(report), HasSubstr("2 x HTTP 429: full"));
  EXPECT_THAT(to_text(report), HasSubstr("floor       not known"));
  EXPECT_EQ(to_json(report).find("failures")->dump(), R"({"HTTP 429: full":2,"reset":1})");
}

TEST(ServeReport, BoundsTheReasonsAndLosesNone) {
  std::vector<RequestOutcome> outcomes;
  for (int i = 0; i < 50; ++i) outcomes.push_back(failed("reason " + std::to_string(i)));
  const ServeReport report = make_report(outcomes, std::nullopt);
  ASSERT_EQ(report.failures.size(), kMaxReasons + 1);
  int64_t total = 0;
  for (const auto& [reason, count] : report.failures) total += count;
  EXPECT_EQ(total, 50);
}

TEST(ServeReport, OfNothingIsStillAReport) {
  for (const std::vector<RequestOutcome>& outcomes :
       {std::vector<RequestOutcome>{}, {failed("x")}}) {
    const ServeReport report = make_report(outcomes, DecodeFloor{1000, 1});
    EXPECT_TRUE(to_json(report).find("ttft_ms")->is_null());
    EXPECT_THAT(to_text(report), HasSubstr("0 completed"));
    EXPECT_THAT(to_svg("t", outcomes), HasSubstr("</svg>"));
  }
}

TEST(ServeReport, CountsStreamsAtOneMomentNotOverATime) {
  // One stream after the other, each shorter than a step of the plot: never two open at once, so
  // the topmost tick of that panel, the last one, is 1.
  std::vector<RequestOutcome> outcomes;
  for (int64_t i = 0; i < 1000; ++i) {
    outcomes.push_back(completed(i * 100, {{i * 100 + 50, 1}}, i * 100 + 100));
  }
  const std::string svg = to_svg("t", outcomes);
  const std::string load_panel = svg.substr(svg.find("Throughput"));
  EXPECT_THAT(load_panel, HasSubstr(">1</text>"));
  EXPECT_THAT(load_panel, testing::Not(HasSubstr(">10</text>")));
}

TEST(ServeReport, PlotsWithUnitsOnTheAxes) {
  const RequestOutcome outcomes[] = {completed(0, {{5000, 1}, {9000, 1}}, 1'000'000)};
  const std::string svg = to_svg("t", outcomes);
  for (const char* text : {"TTFT (ms)", "ITL (ms)", "output (tok/s)", "time (s)", "open streams"}) {
    EXPECT_THAT(svg, HasSubstr(text));
  }
}

}  // namespace
}  // namespace erne::bench
