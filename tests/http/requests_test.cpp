// What a request's fields become in the engine's hands, and a parser's deltas in replies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"
#include "server_fixture.h"

namespace erne::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Json answer(TestServer& server, const std::string& path, const std::string& body) {
  RawClient client = server.client();
  const auto response = client.ask("POST", path, body);
  CHECK(response.has_value());
  EXPECT_EQ(response->status, 200) << response->body;
  return Json::parse(response->body).value();
}

// The data of a stream's events, "[DONE]" apart.
std::vector<Json> chunks(TestServer& server, const std::string& path, const std::string& body) {
  RawClient client = server.client();
  const auto response = client.ask("POST", path, body);
  CHECK(response.has_value());
  std::vector<Json> out;
  std::istringstream lines(response->body);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("data: {")) out.push_back(Json::parse(line.substr(6)).value());
  return out;
}

TEST(Requests, EverySeedDrawsOnItsOwn) {
  TestServer server;
  std::set<std::pair<uint64_t, uint64_t>> draws;
  const char* seeds[] = {"0",
                         "1",
                         "-1",
                         "9223372036854775807",
                         "9223372036854775808",
                         "18446744073709551614",
                         "18446744073709551615",
                         "-9223372036854775808"};
  for (const char* seed : seeds)
    for (const int n : {1, 2}) {
      answer(server, "/v1/completions",
             std::string("{\"prompt\":\"x\",\"max_tokens\":1,\"n\":") + std::to_string(n) +
                 ",\"seed\":" + seed + "}");
      const auto sampling = server.engine.last_request()->sampling;
      EXPECT_EQ(draws.emplace(sampling.seed, sampling.stream).second, true) << seed << " " << n;
    }
  EXPECT_EQ(draws.size(), 2 * std::size(seeds));
  // However it is written, a seed is one.
  answer(server, "/v1/completions", R"({"prompt":"x","max_tokens":1,"seed":1.0})");
  const auto sampling = server.engine.last_request()->sampling;
  EXPECT_FALSE(draws.emplace(sampling.seed, sampling.stream).second);
}

// text[offset[i]:offset[i+1]] of all tokens is the text: in one piece, in chunks, with echo.
// What the engine shares its rows by: the choices of one request are one party, and a client is one
// key at one address.
TEST(Requests, TellTheEngineWhoAsksAndWhatCameTogether) {
  ListenOptions listen;
  listen.api_keys = {"one", "other"};
  TestServer server(listen);
  const auto last_of = [&](const std::string& key, int n) {
    RawClient client = server.client();
    const auto response =
        client.ask("POST", kPath, R"({"prompt":"a","max_tokens":1,"n":)" + std::to_string(n) + "}",
                   "Authorization: Bearer " + key + "\r\n");
    CHECK(response.has_value());
    EXPECT_EQ(response->status, 200) << response->body;
    return server.engine.last_request().value();
  };
  const sched::Request third = last_of("one", 3), single = last_of("one", 1);
  EXPECT_EQ(third.party, third.id - 2);
  EXPECT_EQ(single.party, single.id);
  EXPECT_NE(third.client, 0u);
  EXPECT_EQ(third.client, single.client);
  EXPECT_NE(last_of("other", 1).client, single.client);
}

TEST(Requests, OffsetsAreThoseOfTheTextReturned) {
  const auto length = [](const std::string& text) {
    int64_t characters = 0;
    for (std::string_view rest = text; !rest.empty(); ++characters)
      rest.remove_prefix(utf8_step(rest).length);
    return characters;
  };
  TestServer server;
  Script script;
  script.reply = TestServer::tokens("你😀 12 <|end_of_sentence|>STOP é");
  script.reply.push_back(TestServer::tokenizer().find("<0xE4>").value());
  server.engine.set_script(script);
  for (const char* prompt : {R"("<s>hello 12")", R"("你好😀")", "[3,4,0,5]"})
    for (const char* more : {"", R"(,"skip_special_tokens":false)", R"(,"stop":["STOP"])",
                             R"(,"stop":["P é"],"include_stop_str_in_output":true)"})
      for (const char* stream : {"false", "true"}) {
        const std::string body = std::string("{\"prompt\":") + prompt +
                                 ",\"echo\":true,\"logprobs\":1,\"stream\":" + stream + more + "}";
        std::vector<Json> replies;
        if (*stream == 't')
          replies = chunks(server, "/v1/completions", body);
        else
          replies.push_back(answer(server, "/v1/completions", body));
        std::string text;
        std::vector<int64_t> offsets;
        for (const Json& reply : replies) {
          const Json& choice = reply.find("choices")->as_array()[0];
          text += choice.find("text")->as_string();
          if (const Json* list = choice.find("logprobs")->find("text_offset"))
            for (const Json& offset : list->as_array()) offsets.push_back(offset.as_int());
        }
        ASSERT_FALSE(offsets.empty()) << body;
        EXPECT_EQ(offsets[0], 0) << body;
        EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end())) << body;
        EXPECT_LE(offsets.back(), length(text)) << body;
      }
  const Json reply = answer(server, "/v1/completions",
                            R"({"prompt":"<s>hello 12","echo":true,"logprobs":0,"max_tokens":0})");
  const Json& offsets = *reply.find("choices")->as_array()[0].find("logprobs")->find("text_offset");
  EXPECT_EQ(offsets.as_array()[1].as_int(), 3) << offsets.dump();
}

TEST(Requests, LineEndsOfUnicodeNeverBreakAnEvent) {
  TestServer server;
  server.engine.set_script({.reply = TestServer::tokens("a\u2028b\u2029c")});
  RawClient client = server.client();
  const auto response =
      client.ask("POST", "/v1/completions", R"({"prompt":"x","stream":true,"max_tokens":20})");
  ASSERT_TRUE(response);
  EXPECT_THAT(response->body, Not(HasSubstr("\u2028")));
  EXPECT_THAT(response->body, HasSubstr("\\u2028"));
  EXPECT_THAT(response->body, HasSubstr("\\u2029"));
}

// Says of each digit that it is a call's argument, of each capital that it is thought.
class DigitParser final : public DeltaParser {
 public:
  Delta push(std::string_view text) override {
    Delta out;
    for (const char c : text) {
      if (c >= '0' && c <= '9') {
        const bool begins = std::exchange(has_called_, true) == false;
        out.tool_calls.push_back({0, begins ? "call-7" : "", begins ? "f" : "", std::string(1, c)});
      } else if (c >= 'A' && c <= 'Z') {
        out.reasoning += c;
      } else {
        out.content += c;
      }
    }
    return out;
  }
  Delta finish() override {
    Delta out;
    out.content = "!";
    return out;
  }

 private:
  bool has_called_ = false;
};

ServerOptions with_parser() {
  ServerOptions options;
  options.make_parser = [] { return std::make_unique<DigitParser>(); };
  return options;
}

const std::string kOpenChat = R"({"messages":[{"role":"user","content":"hi"}])";

TEST(Replies, AParsersDeltasHaveTheirPlaces) {
  TestServer server(with_parser());
  server.engine.set_script({.reply = TestServer::tokens("THaI 42 so")});
  const Json whole = answer(server, "/v1/chat/completions", kOpenChat + "}");
  const Json& choice = whole.find("choices")->as_array()[0];
  EXPECT_EQ(choice.find("message")->dump(),
            R"({"role":"assistant","reasoning_content":"THI","content":"a  so!","tool_calls":)"
            R"([{"id":"call-7","type":"function","function":{"name":"f","arguments":"42"}}],)"
            R"("refusal":null})");
  EXPECT_EQ(choice.find("finish_reason")->as_string(), "tool_calls");

  std::string reasoning, content, arguments, finish;
  std::vector<std::string> ids;
  for (const Json& chunk :
       chunks(server, "/v1/chat/completions", kOpenChat + R"(,"stream":true})")) {
    const Json& part = chunk.find("choices")->as_array()[0];
    const Json& delta = *part.find("delta");
    if (const Json* text = delta.find("reasoning_content")) reasoning += text->as_string();
    if (const Json* text = delta.find("content")) content += text->as_string();
    if (const Json* calls = delta.find("tool_calls"))
      for (const Json& call : calls->as_array()) {
        EXPECT_EQ(call.find("index")->as_int(), 0);
        if (const Json* id = call.find("id")) ids.push_back(id->as_string());
        arguments += call.find("function")->find("arguments")->as_string();
      }
    if (part.find("finish_reason")->is_string()) finish = part.find("finish_reason")->as_string();
  }
  EXPECT_EQ(reasoning, "THI");
  EXPECT_EQ(content, "a  so!");
  EXPECT_EQ(arguments, "42");
  EXPECT_THAT(ids, ElementsAre("call-7"));
  EXPECT_EQ(finish, "tool_calls");
}

TEST(Replies, WhereThereAreOnlyCallsTheContentIsNull) {
  class OnlyCalls final : public DeltaParser {
    Delta push(std::string_view) override { return {}; }
    Delta finish() override {
      Delta out;
      out.tool_calls = {{0, "a", "f", "{}"}, {1, "b", "g", "{}"}};
      return out;
    }
  };
  ServerOptions options;
  options.make_parser = [] { return std::make_unique<OnlyCalls>(); };
  TestServer server(options);
  const Json whole = answer(server, "/v1/chat/completions", kOpenChat + "}");
  const Json& message = *whole.find("choices")->as_array()[0].find("message");
  EXPECT_TRUE(message.find("content")->is_null());
  EXPECT_EQ(message.find("tool_calls")->as_array().size(), 2u);
  // A completion's text is never told apart.
  EXPECT_THAT(answer(server, "/v1/completions", R"({"prompt":"x"})").dump(), HasSubstr("42"));
}

}  // namespace
}  // namespace erne::server
