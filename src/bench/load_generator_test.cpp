#include "bench/load_generator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <latch>
#include <limits>
#include <thread>

#include "bench/scripted_server.h"

namespace erne::bench {
namespace {

constexpr double kAllAtOnce = std::numeric_limits<double>::infinity();

std::string token_event(int completion_tokens) {
  return "data: "
         "{\"choices\":[{\"text\":\"x\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":" +
         std::to_string(completion_tokens) + "}}\n\n";
}

LoadPlan plan_for(const ScriptedServer& server, int num_requests, int max_concurrency) {
  LoadPlan plan{.url = server.url() + "/v1/completions",
                .api_key = "",
                .bodies = {},
                .arrivals_us = poisson_arrivals(num_requests, kAllAtOnce, 0),
                .max_concurrency = max_concurrency,
                .request_timeout_us = 20'000'000};
  for (int i = 0; i < num_requests; ++i) plan.bodies.push_back("{\"n\":" + std::to_string(i) + "}");
  return plan;
}

std::vector<RequestOutcome> run(const LoadPlan& plan) {
  auto outcomes = generate_load(plan, SteadyClock());
  CHECK(outcomes.ok());
  return std::move(*outcomes);
}

TEST(LoadGenerator, ReadsManyStreamsWithinTheConcurrency) {
  std::latch all_open(8);  // the first eight wait for each other
  std::atomic<int> num_arrived = 0;
  ScriptedServer server(
      [&](const ScriptedServer::Request& request, const ScriptedServer::Write& write) {
        EXPECT_TRUE(request.head.starts_with("POST /v1/completions HTTP/1.1"));
        EXPECT_TRUE(request.body.starts_with("{\"n\":"));
        if (num_arrived++ < 8) all_open.arrive_and_wait();
        write(ScriptedServer::kStreamHead);
        for (int i = 1; i <= 3; ++i) write(token_event(i));
        write("data: [DONE]\n\n");
      });
  const auto outcomes = run(plan_for(server, 40, 8));
  ASSERT_EQ(outcomes.size(), 40u);
  for (const RequestOutcome& outcome : outcomes) {
    ASSERT_TRUE(outcome.ok()) << outcome.failure;
    EXPECT_EQ(outcome.output_tokens, 3);
    EXPECT_EQ(outcome.input_tokens, 5);
    EXPECT_LE(outcome.start_us, outcome.events.front().time_us);
    EXPECT_LE(outcome.events.back().time_us, outcome.end_us);
  }
  EXPECT_EQ(server.num_requests(), 40);
  EXPECT_EQ(server.most_at_once(), 8);  // the server closes, which ends a stream, after it counts
}

TEST(LoadGenerator, ReportsEveryKindOfFailureAndGoesOn) {
  ScriptedServer server(
      [](const ScriptedServer::Request& request, const ScriptedServer::Write& write) {
        if (request.body == "{\"n\":0}") return;  // hangs up without a word
        if (request.body == "{\"n\":1}") {
          return (void)write(
              "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 30\r\nConnection: close\r\n\r\n"
              "{\"error\":{\"message\":\"full\"}}  ");
        }
        if (request.body == "{\"n\":2}") {  // dies between two chunks
          return (void)write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n");
        }
        write(ScriptedServer::kStreamHead);
        if (request.body == "{\"n\":5}") return (void)write("data: {{{\n\n");
        write(token_event(1));
        if (request.body == "{\"n\":3}") return;  // ends without [DONE]
        if (request.body == "{\"n\":4}")
          return (void)write("data: {\"error\":{\"message\":\"oom\"}}\n\n");
        write("data: [DONE]\n\n");
      });
  const auto outcomes = run(plan_for(server, 7, 7));
  EXPECT_EQ(outcomes[0].failure, "Empty reply from server");
  EXPECT_EQ(outcomes[1].failure, "HTTP 429: full");
  EXPECT_NE(outcomes[2].failure.find("transfer closed"), std::string::npos) << outcomes[2].failure;
  EXPECT_EQ(outcomes[3].failure, "the stream ended before [DONE]");
  EXPECT_EQ(outcomes[4].failure, "error in the stream: oom");
  EXPECT_EQ(outcomes[5].failure, "an event of the stream is no JSON object");
  EXPECT_TRUE(outcomes[6].ok()) << outcomes[6].failure;
}

TEST(LoadGenerator, HangsUpOnceAStreamHasFailed) {
  std::atomic<bool> hung_up = false;
  ScriptedServer server([&](const ScriptedServer::Request&, const ScriptedServer::Write& write) {
    write(ScriptedServer::kStreamHead);
    write("data: {{{\n\n");
    for (int i = 0; i < 5000 && !hung_up; ++i) {
      hung_up = !write(": still here\n\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto outcomes = run(plan_for(server, 1, 1));
  EXPECT_EQ(outcomes[0].failure, "an event of the stream is no JSON object");
  server.wait_for_requests(1);
  EXPECT_TRUE(hung_up);
}

TEST(LoadGenerator, GivesUpOnASilentServer) {
  std::atomic<bool> over = false;
  ScriptedServer server([&](const ScriptedServer::Request&, const ScriptedServer::Write& write) {
    write(ScriptedServer::kStreamHead);
    while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  LoadPlan plan = plan_for(server, 1, 1);
  plan.request_timeout_us = 50'000;
  const auto outcomes = run(plan);
  over = true;
  EXPECT_NE(outcomes[0].failure.find("timed out"), std::string::npos) << outcomes[0].failure;
}

TEST(LoadGenerator, ReportsThatNobodyListens) {
  std::string url;
  {
    ScriptedServer server([](const auto&, const auto&) {});
    url = server.url();
  }  // its port is free again
  LoadPlan plan{url, "", {"{}"}, {0}, 1, 20'000'000};
  const auto outcomes = run(plan);
  EXPECT_NE(outcomes[0].failure.find("connect"), std::string::npos) << outcomes[0].failure;
}

TEST(LoadGenerator, SendsTheKeyAndWaitsForArrivals) {
  std::string head;
  ScriptedServer server(
      [&](const ScriptedServer::Request& request, const ScriptedServer::Write& write) {
        head = request.head;
        write(ScriptedServer::kStreamHead);
        write(token_event(1) + "data: [DONE]\n\n");
      });
  LoadPlan plan = plan_for(server, 1, 1);
  plan.api_key = "secret";
  plan.arrivals_us = {30'000};
  const auto outcomes = run(plan);
  ASSERT_TRUE(outcomes[0].ok()) << outcomes[0].failure;
  EXPECT_GE(outcomes[0].start_us, 30'000);
  EXPECT_NE(head.find("Authorization: Bearer secret"), std::string::npos);
}

TEST(LoadGenerator, RefusesMoreStreamsThanDescriptors) {
  LoadPlan plan{"http://127.0.0.1:1", "", {}, {}, 2'000'000'000, 1};
  const auto outcomes = generate_load(plan, SteadyClock());
  ASSERT_FALSE(outcomes.ok());
  EXPECT_EQ(outcomes.status().param, "max_concurrency");
}

TEST(PoissonArrivals, HaveTheRateAndAreRepeatable) {
  const auto arrivals = poisson_arrivals(20'001, 50, 3);
  EXPECT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
  EXPECT_EQ(arrivals.front(), 0);
  const double mean_gap_s = static_cast<double>(arrivals.back()) / 1e6 / 20'000;
  EXPECT_NEAR(mean_gap_s, 1.0 / 50, 4 * (1.0 / 50) / std::sqrt(20'000));  // 4 standard errors
  EXPECT_EQ(arrivals, poisson_arrivals(20'001, 50, 3));
  EXPECT_NE(arrivals, poisson_arrivals(20'001, 50, 4));
}

}  // namespace
}  // namespace erne::bench
