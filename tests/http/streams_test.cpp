// Streams over sockets: clients that leave, clients that do not read, shutting down, many at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "server_fixture.h"

namespace erne::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;

const std::string kEndless =
    R"({"prompt":"Once","stream":true,"ignore_eos":true,"max_tokens":1000000})";
// Kilobytes a token, of which the kernel soon takes no more.
const std::string kHeavyTokens =
    R"({"prompt":"Once","stream":true,"ignore_eos":true,"return_token_ids":true,"logprobs":400)";

ServerOptions long_context() {
  ServerOptions options;
  options.max_model_len = 1'100'000;
  options.max_logprobs = 400;
  return options;
}

size_t count(const std::string& text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

int64_t resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  CHECK(file != nullptr);
  long total = 0, resident = 0;
  CHECK_EQ(std::fscanf(file, "%ld %ld", &total, &resident), 2);
  std::fclose(file);
  return int64_t{resident} * ::sysconf(_SC_PAGESIZE);
}

TEST(Streams, AClientThatLeavesIsCancelled) {
  TestServer server(long_context());
  for (const bool reset : {false, true}) {
    RawClient client = server.client();
    client.send_request("POST", kPath, kEndless);
    ASSERT_TRUE(client.read_until("data: "));
    EXPECT_EQ(server.engine.num_active(), 1);
    reset ? client.close_with_reset() : client.close();
    EXPECT_TRUE(server.engine_reaches(0));
  }
  EXPECT_EQ(server.engine.num_cancelled(), 2);
}

TEST(Streams, AClientThatLeavesBeforeTheFirstTokenIsCancelled) {
  TestServer server;
  server.engine.hold(true);  // nothing is written, so only the pending read can tell
  for (const char* body : {R"({"prompt":"Once"})", R"({"prompt":["a","b"],"n":3,"stream":true})"}) {
    RawClient client = server.client();
    client.send_request("POST", kPath, body);
    ASSERT_TRUE(server.engine_reaches(count(body, "n\":3") ? 6 : 1));
    client.close();
    EXPECT_TRUE(server.engine_reaches(0));
  }
  EXPECT_EQ(server.engine.num_cancelled(), 7);
}

TEST(Streams, AStopStringFreesTheSequence) {
  TestServer server;
  server.engine.set_script({.reply = TestServer::tokens("The answer is 42. "), .stall_after = 40});
  RawClient client = server.client();
  const auto response = client.ask(
      "POST", kPath, R"({"prompt":"Once","ignore_eos":true,"max_tokens":2000,"stop":"42"})");
  EXPECT_THAT(response.value().body, HasSubstr("\"finish_reason\":\"stop\""));
  EXPECT_TRUE(server.engine_reaches(0));
  EXPECT_EQ(server.engine.num_cancelled(), 1);
}

TEST(Streams, AFailingChoiceEndsTheOthers) {
  TestServer server;
  server.engine.set_script({.reply = TestServer::tokens("abc"), .fail_after = 2});
  RawClient client = server.client();
  const auto response = client.ask("POST", kPath, R"({"prompt":"Once","n":4,"stream":true})");
  ASSERT_TRUE(response);
  EXPECT_EQ(count(response->body, "\"error\""), 1u);
  EXPECT_EQ(count(response->body, "[DONE]"), 1u);
  EXPECT_TRUE(server.engine_reaches(0));
}

TEST(Streams, ChoicesInterleaveAndEachEndsOnce) {
  TestServer server;
  RawClient client = server.client();
  const auto response =
      client.ask("POST", kPath, R"({"prompt":["a","b"],"n":3,"stream":true,"max_tokens":5})");
  ASSERT_TRUE(response);
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(count(response->body, "\"index\":" + std::to_string(i)), 5u);
  EXPECT_EQ(count(response->body, "\"finish_reason\":\"length\""), 6u);
  EXPECT_THAT(response->body, EndsWith("data: [DONE]\n\n"));
}

// Of all chunks: what has waited comes several tokens at a time.
size_t num_ids(const std::string& body) {
  const std::string name = "\"completion_token_ids\":[";
  size_t ids = 0;
  for (size_t at = body.find(name); at != std::string::npos; at = body.find(name, at)) {
    at += name.size();
    const size_t end = body.find(']', at);
    if (end > at) ids += 1 + static_cast<size_t>(std::count(&body[at], &body[end], ','));
  }
  return ids;
}

TEST(Streams, ASlowReaderIsHeldAtABoundAndLosesNothing) {
  ListenOptions listen;
  listen.http.max_unsent_bytes = 16 << 10;
  listen.http.write_timeout = seconds(60);
  TestServer server(long_context(), true, listen);
  // More than the kernel takes, so that the server has to hold back.
  RawClient slow = server.client(/*receive_buffer_bytes=*/256 << 10);
  slow.send_request("POST", kPath, kHeavyTokens + R"(,"max_tokens":1000})");
  // Not engine_reaches(1): it may be through with all of them before anybody looks.
  while (!server.engine.last_request()) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_TRUE(server.engine_reaches(0));  // the engine did not wait for the reader
  const auto response = slow.read_response();
  ASSERT_TRUE(response);
  EXPECT_GT(response->body.size(), 5u << 20);
  EXPECT_EQ(num_ids(response->body), 1000u);
  EXPECT_EQ(count(response->body, "\"finish_reason\":\"length\""), 1u);
}

TEST(Streams, AReaderThatStopsIsCutOff) {
  ListenOptions listen;
  listen.http.max_unsent_bytes = 16 << 10;
  listen.http.write_timeout = milliseconds(300);
  TestServer server(long_context(), true, listen);
  server.engine.set_script({.reply = TestServer::tokens("abc"), .stall_after = 2000});
  RawClient stuck = server.client(/*receive_buffer_bytes=*/256 << 10);
  stuck.send_request("POST", kPath, kHeavyTokens + R"(,"max_tokens":20000})");
  ASSERT_TRUE(server.engine_reaches(1));
  EXPECT_TRUE(server.engine_reaches(0));
  EXPECT_EQ(server.engine.num_cancelled(), 1);
}

TEST(Streams, DrainingFinishesWhatRunsAndTakesNothingNew) {
  TestServer server;
  server.engine.hold(true);
  RawClient running = server.client(), idle = server.client(), late = server.client();
  ASSERT_EQ(idle.ask("GET", "/health").value().status, 200);
  running.send_request("POST", kPath, R"({"prompt":"Once"})");
  ASSERT_TRUE(server.engine_reaches(1));
  // Inside its header:
  late.send("POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 17\r\n");
  std::this_thread::sleep_for(milliseconds(50));
  auto drained = std::async(std::launch::async, [&] { return server.server->drain(seconds(10)); });
  EXPECT_TRUE(idle.closed_within(seconds(30)));
  late.send("\r\n{\"prompt\":\"Once\"}");
  EXPECT_EQ(late.read_response().value().status, 503);
  EXPECT_EQ(drained.wait_for(milliseconds(50)), std::future_status::timeout);
  server.engine.hold(false);
  const auto response = running.read_response();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->headers.at("connection"), "close");
  EXPECT_TRUE(drained.get());
}

TEST(Streams, DrainingGivesUpAfterItsTimeAndStopEndsItAtOnce) {
  TestServer server;
  server.engine.hold(true);
  RawClient running = server.client();
  running.send_request("POST", kPath, R"({"prompt":"Once"})");
  ASSERT_TRUE(server.engine_reaches(1));
  EXPECT_FALSE(server.server->drain(milliseconds(50)));
  auto drained = std::async(std::launch::async, [&] { return server.server->drain(seconds(60)); });
  std::this_thread::sleep_for(milliseconds(50));
  server.server->stop();  // the second signal
  EXPECT_FALSE(drained.get());
  EXPECT_TRUE(running.closed_within(seconds(30)));
  EXPECT_EQ(server.engine.num_active(), 0);
}

TEST(Streams, SeedsVaryUnlessGiven) {
  TestServer server;
  RawClient client = server.client();
  const auto seed_of = [&](const char* body) {
    EXPECT_EQ(client.ask("POST", kPath, body).value().status, 200);
    return server.engine.last_request()->sampling.seed;
  };
  EXPECT_NE(seed_of(R"({"prompt":"a","max_tokens":1})"),
            seed_of(R"({"prompt":"a","max_tokens":1})"));
  EXPECT_EQ(seed_of(R"({"prompt":"a","max_tokens":1,"seed":5})"), 5u);
}

TEST(Streams, MetricsCountWhatHappened) {
  TestServer server;
  RawClient client = server.client();
  client.ask("POST", kPath, R"({"prompt":"Once","max_tokens":3})");
  client.ask("POST", kPath, R"({"prompt":"Once","temperature":9})");
  const std::string text = client.ask("GET", "/metrics").value().body;
  EXPECT_THAT(text, HasSubstr("fastdeploy:requests_number_total 1\n"));
  EXPECT_THAT(text, HasSubstr("fastdeploy:request_success_total 1\n"));
  EXPECT_THAT(text, HasSubstr("fastdeploy:time_to_first_token_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("fastdeploy:time_per_output_token_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("fastdeploy:available_gpu_block_num 90\n"));
  EXPECT_THAT(text, HasSubstr("erne:step_token_budget 61\n"));
  EXPECT_THAT(text, HasSubstr("path=\"/v1/completions\",status_code=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("path=\"/v1/completions\",status_code=\"400\"} 1\n"));
}

// All connect and ask at once, before any answer is read.
void run_crowd(TestServer& server, int num_streams) {
  const std::string body =
      R"({"messages":[{"role":"user","content":"hi"}],"stream":true,"ignore_eos":true,"max_tokens":10})";
  std::vector<RawClient> clients;
  for (int i = 0; i < num_streams; ++i) {
    clients.push_back(server.client());
    clients.back().send_request("POST", "/v1/chat/completions", body);
  }
  for (RawClient& client : clients) {
    const auto response = client.read_response();
    ASSERT_TRUE(response);
    ASSERT_EQ(response->status, 200);
    ASSERT_EQ(count(response->body, "data: "), 12u);  // opening, 10 tokens, [DONE]
    ASSERT_THAT(response->body, EndsWith("data: [DONE]\n\n"));
  }
}

TEST(Streams, AThousandAtOnceFinishAndLeaveNoMemoryBehind) {
  constexpr int kStreams = 1000;
  TestServer server;
  run_crowd(server, kStreams);  // what allocators keep
  const int64_t before = resident_bytes();
  run_crowd(server, kStreams);
  EXPECT_EQ(server.engine.num_active(), 0);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory in quarantine
  EXPECT_LT(resident_bytes() - before, int64_t{40} << 20);
#else
  (void)before;
#endif
}

TEST(Streams, AThousandThatOpenAndDropLeaveNothingBehind) {
  constexpr int kStreams = 1000;
  TestServer server(long_context());
  for (int i = 0; i < kStreams; ++i) {
    RawClient client = server.client();
    client.send_request("POST", kPath, kEndless);
    if (i % 3 == 0) {
      ASSERT_TRUE(client.read_until("data: "));
    }
    i % 2 ? client.close() : client.close_with_reset();
  }
  EXPECT_TRUE(server.engine_reaches(0));
  RawClient client = server.client();
  EXPECT_EQ(client.ask("POST", kPath, R"({"prompt":"Once"})").value().status, 200);
}

}  // namespace
}  // namespace erne::server
