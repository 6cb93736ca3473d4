// What one request may take: memory, bytes of its reply, time of the threads that others need.
// Small limits show the same as large ones would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace erne::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kCompletions = "/v1/completions", kChatPath = "/v1/chat/completions";
const std::string kSmall = R"({"prompt":"Once","max_tokens":2})";

std::string repeated(const std::string& before, const std::string& item, int count,
                     const std::string& after) {
  std::string text = before + item;
  for (int i = 1; i < count; ++i) text += "," + item;
  return text + after;
}

RawResponse asked(TestServer& server, const std::string& path, const std::string& body) {
  const auto response = server.client().ask("POST", path, body);
  CHECK(response.has_value());
  return *response;
}

// Claimed now, as /metrics says.
std::string request_memory(TestServer& server) {
  const std::string text = server.client().ask("GET", "/metrics").value().body;
  const std::string name = "\nerne:request_memory_bytes ";
  const size_t begin = text.find(name) + name.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

void expect_nothing_is_held(TestServer& server) {
  EXPECT_EQ(asked(server, kCompletions, kSmall).status, 200);
  for (int i = 0; i < 1000 && request_memory(server) != "0"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(request_memory(server), "0");
}

TEST(Bounds, ARequestThatCouldNeverFitIsRefusedByName) {
  ServerOptions options;
  options.max_request_memory = size_t{4} << 20;
  TestServer server(options);
  const std::string text = std::string(600'000, 'a');
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {kChatPath, R"({"messages":[{"role":"user","content":")" + text + "\"}]}"},
           {kChatPath, R"({"messages":[{"role":"user","content":"a","unread":")" + text + "\"}]}"},
           {kChatPath, R"({"messages":[{"role":"user","content":"a","unread":)" +
                           repeated("[", "1", 20'000, "]}]}")},
           {"/tokenize", R"({"prompt":")" + text + "\"}"},
           {kCompletions,
            R"({"prompt":"a","n":100,"max_tokens":1000,"logprobs":20,"stream":true})"},
           {kCompletions, repeated(R"({"prompt":[)", "7", 400'000, "]}")},
       }) {
    const RawResponse response = asked(server, path, body);
    EXPECT_EQ(response.status, 400) << body.substr(0, 60);
    EXPECT_THAT(response.body, HasSubstr("--max-request-memory")) << body.substr(0, 60);
  }
  expect_nothing_is_held(server);
}

TEST(Bounds, WhatOthersHoldNowIsA503ThatSaysWhenToComeBack) {
  ServerOptions options;
  options.max_request_memory = size_t{4} << 20;
  TestServer server(options);
  server.engine.hold(true);
  const std::string large = R"({"prompt":"a","n":2,"max_tokens":1000,"logprobs":20})";
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(server.client());
    clients.back().send_request("POST", kCompletions, large);
  }
  ASSERT_TRUE(server.engine_reaches(6)) << "three of them have room";
  const RawResponse refused = asked(server, kCompletions, large);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_THAT(refused.body, HasSubstr("--max-request-memory"));
  EXPECT_EQ(server.client().ask("GET", "/health").value().status, 200);
  server.engine.hold(false);
  int num_served = 0;
  for (RawClient& client : clients) {
    const auto response = client.read_response();
    ASSERT_TRUE(response);
    num_served += response->status == 200;
    EXPECT_TRUE(response->status == 200 || response->status == 503);
  }
  EXPECT_EQ(num_served, 3);
  expect_nothing_is_held(server);
  EXPECT_EQ(asked(server, kCompletions, large).status, 200);
}

TEST(Bounds, ClientsThatLeaveGiveTheirMemoryBack) {
  TestServer server;
  server.engine.hold(true);
  for (int i = 0; i < 4; ++i) {
    RawClient client = server.client();
    client.send_request("POST", kCompletions, R"({"prompt":"a","n":4,"max_tokens":1000})");
    ASSERT_TRUE(server.engine_reaches(4));
    client.close_with_reset();
    ASSERT_TRUE(server.engine_reaches(0));
  }
  server.engine.hold(false);
  expect_nothing_is_held(server);
}

TEST(Bounds, MoreSmallValuesThanABodyOfItsSizeHasAreRefused) {
  TestServer server;
  for (const char* item : {"[1]", R"({"a":1})", R"([[{}]])", R"({"a":{"b":[]}})"}) {
    for (const std::string& path : {kCompletions, std::string("/tokenize")}) {
      const RawResponse response =
          asked(server, path, repeated(R"({"prompt":[)", item, 250'000, "]}"));
      EXPECT_EQ(response.status, 400) << item;
      EXPECT_THAT(response.body, HasSubstr("small values")) << item;
    }
  }
  const RawResponse chat = asked(server, kChatPath,
                                 R"({"messages":[{"role":"user","content":"a","unread":)" +
                                     repeated("[", "1", 100'000, "]}]}"));
  EXPECT_EQ(chat.status, 400);
  EXPECT_THAT(chat.body, AllOf(HasSubstr("messages"), HasSubstr("65536")));
  expect_nothing_is_held(server);
}

TEST(Bounds, IdsBeyondTheContextAreRefusedBeforeTheyAreCopied) {
  TestServer server;
  const std::string ids = repeated("[", "7", 5000, "]");
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {kCompletions, R"({"prompt":)" + ids + "}"},
           {kCompletions, R"({"prompt":[[7],)" + ids + "]}"},
           {kCompletions, R"({"prompt_token_ids":)" + ids + "}"},
           {kCompletions, R"({"prompt":[7],"completion_token_ids":)" + ids + "}"},
           {kChatPath, R"({"messages":)" + ids + "}"},
           {"/detokenize", R"({"tokens":)" + repeated("[", "7", 140'000, "]}")}}) {
    const RawResponse response = asked(server, path, body);
    EXPECT_EQ(response.status, 400) << body.substr(0, 40);
    EXPECT_THAT(response.body, HasSubstr("context_length_exceeded")) << body.substr(0, 40);
  }
  EXPECT_EQ(asked(server, "/detokenize", R"({"tokens":)" + ids + "}").status, 200);
}

TEST(Bounds, AReplyThatWouldBeTooLargeIsRefusedByName) {
  ServerOptions options;
  options.max_reply_bytes = 1'000'000;
  TestServer server(options);
  const std::string ids = repeated("[", "7", 500, "]");
  for (const char* fields : {R"("n":32,"echo":true,"logprobs":20,"max_tokens":1)",
                             R"("n":32,"prompt_logprobs":20,"max_tokens":1)",
                             R"("n":32,"prompt_logprobs":20,"max_tokens":1,"stream":true)",
                             R"("n":128,"logprobs":20,"max_tokens":1000)",
                             R"("n":128,"max_tokens":1500,"return_token_ids":true)"}) {
    const RawResponse response =
        asked(server, kCompletions, R"({"prompt":)" + ids + "," + fields + "}");
    EXPECT_EQ(response.status, 400) << fields;
    EXPECT_THAT(response.body, HasSubstr("--max-reply-bytes")) << fields;
  }
  EXPECT_EQ(server.engine.num_active(), 0);
  // What nobody asked for in so many words is cut instead.
  EXPECT_EQ(asked(server, kCompletions, R"({"prompt":)" + ids + R"(,"n":4,"logprobs":20})").status,
            200);
  EXPECT_LT(server.engine.last_request()->stop.max_new_tokens, 500);
}

TEST(Bounds, APromptIsScoredOnceForAllItsChoices) {
  TestServer server;
  for (const char* stream : {"false", "true"}) {
    const RawResponse response =
        asked(server, kCompletions,
              std::string(R"({"prompt":[7,8,9],"n":3,"max_tokens":1,"echo":true,"logprobs":2,)") +
                  R"("prompt_logprobs":2,"stream":)" + stream + "}");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(server.engine.last_request()->sampling.prompt_logprobs, -1) << "the third choice's";
    size_t count = 0;
    const std::string scores = R"("prompt_logprobs":[null,{"8":)";
    for (size_t at = response.body.find(scores); at != std::string::npos;
         at = response.body.find(scores, at + 1))
      ++count;
    EXPECT_EQ(count, 3u) << response.body;
  }
}

TEST(Bounds, WhoWaitsTooLongForATextThreadGetsA503) {
  ServerOptions options;
  options.num_text_threads = 1;
  options.max_text_wait = std::chrono::milliseconds(1);
  TestServer server(options);
  const std::string body = R"({"prompt":")" + std::string(500'000, 'a') + "\"}";
  std::vector<RawClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(server.client());
    clients.back().send_request("POST", "/tokenize", body);
  }
  int num_refused = 0;
  for (RawClient& client : clients) {
    const auto response = client.read_response();
    ASSERT_TRUE(response);
    if (response->status == 200) continue;
    EXPECT_EQ(response->status, 503);
    EXPECT_EQ(response->headers.at("retry-after"), "1");
    ++num_refused;
  }
  EXPECT_GT(num_refused, 0);
}

}  // namespace
}  // namespace erne::server
