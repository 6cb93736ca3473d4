#include "bench/completion_stream.h"

#include <gtest/gtest.h>

namespace erne::bench {
namespace {

std::string event(std::string_view json) {
  return "data: " + std::string(json) + "\n\n";
}
const std::string kDone = "data: [DONE]\n\n";

RequestOutcome outcome_of(const std::string& stream) {
  CompletionStream reader(100);
  reader.feed(200, stream, 200);
  return reader.finish(200, "", 300);
}

TEST(CompletionStream, CountsOneTokenPerEventWithoutUsage) {
  CompletionStream reader(100);
  EXPECT_TRUE(
      reader.feed(200, event(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})"), 110));
  EXPECT_TRUE(reader.feed(200, event(R"({"choices":[{"delta":{"content":"a"}}]})"), 120));
  EXPECT_TRUE(reader.feed(200, event(R"({"choices":[{"delta":{"reasoning_content":"b"}}]})"), 150));
  EXPECT_TRUE(reader.feed(
      200, event(R"({"choices":[{"delta":{"content":""},"finish_reason":"stop"}]})") + kDone, 160));
  const RequestOutcome outcome = reader.finish(200, "", 170);
  ASSERT_TRUE(outcome.ok()) << outcome.failure;
  ASSERT_EQ(outcome.events.size(), 2u);  // neither the role nor the end carries a token
  EXPECT_EQ(outcome.events[0].time_us, 120);
  EXPECT_EQ(outcome.events[1].time_us, 150);
  EXPECT_EQ(outcome.output_tokens, 2);
  EXPECT_EQ(outcome.finish_reason, "stop");
  EXPECT_EQ(outcome.start_us, 100);
  EXPECT_EQ(outcome.end_us, 170);
}

TEST(CompletionStream, TrustsContinuousUsage) {
  const RequestOutcome outcome = outcome_of(
      event(R"({"choices":[{"text":""}],"usage":{"prompt_tokens":9,"completion_tokens":1}})") +
      event(R"({"choices":[{"text":"xyz"}],"usage":{"prompt_tokens":9,"completion_tokens":4}})") +
      event(R"({"choices":[{"text":"tail"}],"usage":{"prompt_tokens":9,"completion_tokens":4}})") +
      event(R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,)"
            R"("prompt_tokens_details":{"cached_tokens":6}}})") +
      kDone);
  ASSERT_TRUE(outcome.ok()) << outcome.failure;
  ASSERT_EQ(outcome.events.size(), 2u);
  EXPECT_EQ(outcome.events[0].num_tokens, 1);
  EXPECT_EQ(outcome.events[1].num_tokens, 3);
  EXPECT_EQ(outcome.input_tokens, 9);
  EXPECT_EQ(outcome.cached_tokens, 6);
  EXPECT_EQ(outcome.output_tokens, 4);
}

TEST(CompletionStream, FinalUsageCorrectsTheCount) {
  const RequestOutcome outcome = outcome_of(
      event(R"({"choices":[{"text":"two tokens"}]})") +
      event(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})") + kDone);
  ASSERT_TRUE(outcome.ok()) << outcome.failure;
  EXPECT_EQ(outcome.events.size(), 1u);
  EXPECT_EQ(outcome.output_tokens, 2);
}

TEST(CompletionStream, NamesWhyItFailed) {
  const std::string token = event(R"({"choices":[{"text":"a"}]})");
  EXPECT_EQ(outcome_of(token).failure, "the stream ended before [DONE]");
  EXPECT_EQ(outcome_of(kDone).failure, "the stream carried no token");
  EXPECT_EQ(outcome_of(token + event("{nonsense")).failure,
            "an event of the stream is no JSON object");
  EXPECT_EQ(outcome_of(token + event(R"({"error":{"message":"engine died"}})") + kDone).failure,
            "error in the stream: engine died");

  CompletionStream refused(0);
  EXPECT_TRUE(refused.feed(429, R"({"error":{"message":"full, )", 1));
  EXPECT_TRUE(refused.feed(429, R"(come back"}})", 2));
  EXPECT_EQ(refused.finish(429, "", 3).failure, "HTTP 429: full, come back");

  CompletionStream cut(0);
  EXPECT_TRUE(cut.feed(200, token, 1));
  EXPECT_EQ(cut.finish(200, "Connection reset by peer", 2).failure, "Connection reset by peer");
}

TEST(CompletionStream, BoundsWhatAServerCanMakeItKeep) {
  const std::string junk(10'000, 'x');
  for (const int http_status : {200, 500}) {
    CompletionStream reader(0);
    int num_taken = 0;
    while (num_taken < 1000 && reader.feed(http_status, junk, 0)) ++num_taken;
    EXPECT_LT(num_taken, 1000);
    EXPECT_LE(reader.finish(http_status, "", 100).failure.size(), 200u);
  }
}

TEST(CompletionStream, HostileShapesAreNotTokens) {
  for (const char* json : {R"({"choices":{}})", R"({"choices":[7]})", R"({"choices":[{"text":5}]})",
                           R"({"choices":[{"delta":[]}]})", R"({"usage":7})",
                           R"({"choices":[{"text":""}],"usage":{"completion_tokens":-5}})"}) {
    EXPECT_EQ(outcome_of(event(json) + kDone).failure, "the stream carried no token") << json;
  }
}

}  // namespace
}  // namespace erne::bench
