#include "sched/limits.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace erne::sched {
namespace {

const kv::KvGeometry kGeometry{.device_blocks = 4, .host_blocks = 0, .block_tokens = 8};
const Limits kLimits{.max_rows = 2, .max_tokens = 16, .max_model_len = 40};

Request request_of(int prompt, int max_new_tokens, int min_new_tokens = 0) {
  Request request;
  request.prompt.resize(prompt);
  request.stop.max_new_tokens = max_new_tokens;
  request.stop.min_new_tokens = min_new_tokens;
  return request;
}

void expect_refused(const Request& request, const Limits& limits, Code code, std::string param,
                    std::vector<std::string> named) {
  const Result<void> result = check_request(request, limits, kGeometry);
  ASSERT_FALSE(result.ok()) << param;
  EXPECT_EQ(result.status().code, code) << result.status().message;
  EXPECT_EQ(result.status().param, param) << result.status().message;
  for (const std::string& number : named) {
    EXPECT_NE(result.status().message.find(number), std::string::npos) << result.status().message;
  }
}

TEST(CheckRequest, AcceptsWhatJustFits) {
  EXPECT_TRUE(check_request(request_of(1, 0), kLimits, kGeometry).ok());
  EXPECT_TRUE(
      check_request(request_of(32, 1), kLimits, kGeometry).ok());  // 32 slots: the last token
  EXPECT_TRUE(check_request(request_of(32, 0), kLimits, kGeometry).ok());  // generated needs none
  EXPECT_TRUE(check_request(request_of(1, 32), kLimits, kGeometry).ok());
  EXPECT_TRUE(check_request(request_of(1, 5, 5), kLimits, kGeometry).ok());
  Limits whole = kLimits;
  whole.chunk_prompts = false;
  EXPECT_TRUE(check_request(request_of(16, 17), whole, kGeometry).ok());
  Limits exact = kLimits;
  exact.max_model_len = 20;
  EXPECT_TRUE(check_request(request_of(10, 10), exact, kGeometry).ok());
}

TEST(CheckRequest, RefusesWhatIsWrong) {
  expect_refused(request_of(0, 1), kLimits, Code::kInvalid, "prompt", {"empty"});
  expect_refused(request_of(1, -1), kLimits, Code::kInvalid, "max_tokens", {"-1"});
  expect_refused(request_of(1, 5, 6), kLimits, Code::kInvalid, "min_tokens", {"6", "5"});
  expect_refused(request_of(1, 5, -2), kLimits, Code::kInvalid, "min_tokens", {"-2"});
}

TEST(CheckRequest, RefusesWhatCanNeverFitAndNamesTheNumbers) {
  expect_refused(request_of(31, 10), kLimits, Code::kTooLong, "max_tokens",
                 {"31", "10", "41", "40"});
  expect_refused(request_of(40, 1), kLimits, Code::kTooLong, "prompt", {"40", "41"});
  expect_refused(request_of(1, std::numeric_limits<int>::max()), kLimits, Code::kTooLong,
                 "max_tokens", {"2147483647", "2147483648"});
  expect_refused(request_of(32, 2), kLimits, Code::kTooLong, "max_tokens", {"32 (4 blocks of 8)"});
  expect_refused(request_of(33, 0), kLimits, Code::kTooLong, "max_tokens", {"33", "32"});
  Limits whole = kLimits;
  whole.chunk_prompts = false;
  expect_refused(request_of(17, 1), whole, Code::kTooLong, "prompt", {"17", "16"});
}

// Whoever submits: the server, a terminal, a benchmark.
TEST(CheckRequest, EveryTokenItNamesIsOneOfTheVocabularys) {
  Limits limits = kLimits;
  limits.vocab_size = 100;
  const std::pair<const char*, void (*)(Request&, TokenId)> places[] = {
      {"prompt", [](Request& r, TokenId id) { r.prompt.back() = id; }},
      {"stop_token_ids", [](Request& r, TokenId id) { r.stop.stop_token_ids = {5, id}; }},
      {"bad_words", [](Request& r, TokenId id) { r.sampling.bad_words = {{5}, {6, id}}; }},
      {"logit_bias", [](Request& r, TokenId id) { r.sampling.logit_bias = {{5, 1}, {id, 1}}; }},
  };
  for (const auto& [param, place] : places)
    for (const TokenId id : {-1, 0, 99, 100, std::numeric_limits<TokenId>::min(),
                             std::numeric_limits<TokenId>::max()}) {
      Request r = request_of(3, 1);
      place(r, id);
      if (id >= 0 && id < 100)
        EXPECT_TRUE(check_request(r, limits, kGeometry).ok()) << param << id;
      else
        expect_refused(r, limits, Code::kInvalid, param, {std::to_string(id), "99"});
    }
}

TEST(CheckRequest, WhatIsAskedOfTheSamplerIsANumberItIsDefinedFor) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const struct {
    const char* param;
    float SamplingParams::* field;
    std::vector<float> wrong;
  } fields[] = {
      {"temperature", &SamplingParams::temperature, {kNan, kInf, -1}},
      {"top_p", &SamplingParams::top_p, {kNan, 0, -1, 1.5f}},
      {"min_p", &SamplingParams::min_p, {kNan, -1, 1.5f}},
      {"repetition_penalty", &SamplingParams::repetition_penalty, {kNan, kInf, 0, -1}},
      {"frequency_penalty", &SamplingParams::frequency_penalty, {kNan, kInf, -kInf}},
      {"presence_penalty", &SamplingParams::presence_penalty, {kNan, kInf, -kInf}},
  };
  for (const auto& [param, field, wrong] : fields)
    for (const float value : wrong) {
      Request r = request_of(3, 1);
      r.sampling.*field = value;
      expect_refused(r, kLimits, Code::kInvalid, param, {});
    }
  Request r = request_of(3, 1);
  r.sampling.top_k = -1;
  expect_refused(r, kLimits, Code::kInvalid, "top_k", {"-1"});
  r.sampling = {};
  r.sampling.logprobs = -2;
  expect_refused(r, kLimits, Code::kInvalid, "logprobs", {"-2"});
  r.sampling = {};
  r.sampling.bad_words = {{}};
  expect_refused(r, kLimits, Code::kInvalid, "bad_words", {});
  r.sampling = {};
  r.sampling.logit_bias = {{1, kNan}};
  expect_refused(r, kLimits, Code::kInvalid, "logit_bias", {});
}

TEST(CheckLimits, NamesTheFieldItsValueAndTheLeast) {
  EXPECT_TRUE(check_limits(kLimits, kGeometry).ok());
  const auto refusal = [](auto change) {
    Limits limits = kLimits;
    kv::KvGeometry geometry = kGeometry;
    change(limits, geometry);
    const Result<void> result = check_limits(limits, geometry);
    return result.ok() ? std::string("accepted") : result.status().message;
  };
  using L = Limits;
  using G = kv::KvGeometry;
  EXPECT_EQ(refusal([](L& l, G&) { l.max_rows = 0; }), "max_rows is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_tokens = 0; }), "max_tokens is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_model_len = 0; }),
            "max_model_len is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.vocab_size = 0; }), "vocab_size is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_waiting = 0; }),
            "max_waiting is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_drafts = -1; }),
            "max_drafts is -1; it must be at least 0");
  EXPECT_EQ(refusal([](L& l, G&) { l.min_free_blocks = -1; }),
            "min_free_blocks is -1; it must be at least 0");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_scored = 0; }), "max_scored is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_partial_prompts = 0; }),
            "max_partial_prompts is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.max_long_prompts = 0; }),
            "max_long_prompts is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G&) { l.long_prompt = 0; }),
            "long_prompt is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L&, G& g) { g.device_blocks = 0; }),
            "device_blocks is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L&, G& g) { g.host_blocks = -1; }),
            "host_blocks is -1; it must be at least 0");
  EXPECT_EQ(refusal([](L&, G& g) { g.block_tokens = 0; }),
            "block_tokens is 0; it must be at least 1");
  EXPECT_EQ(refusal([](L& l, G& g) {
              l.max_rows = l.max_tokens = l.max_model_len = l.max_waiting = 1;
              l.max_drafts = l.min_free_blocks = 0;
              l.max_scored = l.max_partial_prompts = l.max_long_prompts = l.long_prompt = 1;
              g = {.device_blocks = 1, .host_blocks = 0, .block_tokens = 1};
            }),
            "accepted");
}

}  // namespace
}  // namespace erne::sched
