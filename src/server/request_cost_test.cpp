#include "server/request_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/logprobs_json.h"
#include "server/request_work.h"

namespace erne::server {
namespace {

using ::testing::HasSubstr;

constexpr size_t kMegabyte = 1'000'000;

GenerationRequest completion() {
  return GenerationRequest(Endpoint::kCompletions, {});
}

PreparedPrompt prompt_of(size_t num_ids) {
  PreparedPrompt prompt;
  prompt.ids.assign(num_ids, 5);
  prompt.text.assign(4 * num_ids, 'x');
  return prompt;
}

std::vector<ScoredToken> scores(size_t count, int num_top) {
  std::vector<ScoredToken> out;
  for (size_t i = 0; i < count; ++i) {
    ScoredToken token{.id = 5, .logprob = -1.2345678f, .top = {}, .text_offset = 1000};
    for (int k = 0; k < num_top; ++k) token.top.push_back({50'000 + k, -12.345678f});
    out.push_back(token);
  }
  return out;
}

// Without a tokenizer names are ids, about as long as what most tokens say.
TEST(RequestCost, AScoreCountsAsWhatIsWrittenOfIt) {
  const TokenNames names(nullptr, /*as_ids=*/true);
  for (const int num_top : {0, 1, 5, 20}) {
    const auto tokens = scores(100, num_top);
    const size_t completions = completion_logprobs(tokens, names).dump().size() / 100;
    EXPECT_GT(score_bytes(Endpoint::kCompletions, num_top), completions / 2) << num_top;
    EXPECT_LT(score_bytes(Endpoint::kCompletions, num_top), completions * 2) << num_top;
    const size_t chat = chat_logprobs(tokens, names).dump().size() / 100;
    EXPECT_GT(score_bytes(Endpoint::kChat, num_top), chat / 2) << num_top;
    EXPECT_LT(score_bytes(Endpoint::kChat, num_top), chat * 2) << num_top;
    const size_t prompts = prompt_logprobs(tokens, names).dump().size() / 100;
    EXPECT_GT(prompt_score_bytes(num_top), prompts / 2) << num_top;
    EXPECT_LT(prompt_score_bytes(num_top), prompts * 2) << num_top;
  }
}

TEST(RequestCost, WhatIsScoredOfPromptsCountsInEveryChoice) {
  GenerationRequest r = completion();
  const PreparedPrompt prompts[] = {prompt_of(1000), prompt_of(1000)};
  EXPECT_EQ(prompt_reply_bytes(r, prompts), 0u);
  r.echo = true;
  EXPECT_EQ(prompt_reply_bytes(r, prompts), 8000u);
  r.output_scores = r.prompt_scores = 20;
  r.n = 64;
  const size_t bytes = prompt_reply_bytes(r, prompts);
  EXPECT_GT(bytes, 64 * 2000 * (score_bytes(r.endpoint, 20) + prompt_score_bytes(20)));
  const auto refused = tokens_in_reply(r, prompts, 16, bytes - 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "prompt_logprobs");
  EXPECT_THAT(refused.status().message, HasSubstr("128 choices"));
  EXPECT_THAT(refused.status().message, HasSubstr("--max-reply-bytes"));
  r.stream = true;
  EXPECT_FALSE(tokens_in_reply(r, prompts, 16, bytes - 1).ok()) << "a burst in a stream as well";
  EXPECT_EQ(tokens_in_reply(r, prompts, 16, bytes).value(), 16);
}

TEST(RequestCost, AnAnswerNobodyMeasuredIsCutAndOneAskedForIsRefused) {
  GenerationRequest r = completion();
  r.output_scores = 20;
  const PreparedPrompt prompts[] = {prompt_of(10)};
  const int cut = tokens_in_reply(r, prompts, 1 << 20, kMegabyte).value();
  EXPECT_GT(cut, 1000);
  EXPECT_LT(cut, 2000);
  r.max_tokens = 1 << 20;
  const auto refused = tokens_in_reply(r, prompts, 1 << 20, kMegabyte);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "logprobs");
  r.max_tokens = cut;
  EXPECT_EQ(tokens_in_reply(r, prompts, cut, kMegabyte).value(), cut);
  r.stream = true;
  EXPECT_EQ(tokens_in_reply(r, prompts, 1 << 20, kMegabyte).value(), 1 << 20);
}

TEST(RequestCost, AChoiceTakesMemoryForWhatItMayHold) {
  sched::Request choice;
  choice.prompt.assign(1000, 5);
  choice.stop.max_new_tokens = 1000;
  const size_t plain = choice_memory(choice);
  EXPECT_GE(plain, 2000 * sizeof(TokenId));
  choice.sampling.logprobs = 20;
  const size_t scored = choice_memory(choice);
  EXPECT_GE(scored, plain + 1000 * 20 * sizeof(sched::TokenLogprob));
  choice.sampling.prompt_logprobs = 20;
  EXPECT_GE(choice_memory(choice), scored + 1000 * 20 * sizeof(sched::TokenLogprob));
}

// As dispatch() and a handler do it.
Result<Json> received(const std::string& body, RequestWork& work) {
  TRY(work.memory.take(body.size(), "the body"));
  return parse_body(body, work);
}

std::string list_of(const std::string& item, int count) {
  std::string text = "[" + item;
  for (int i = 1; i < count; ++i) text += "," + item;
  return text + "]";
}

TEST(RequestWork, ABodyIsClaimedBeforeItIsBuilt) {
  RequestMemory memory(2000);
  RequestWork work(memory, std::stop_token());
  EXPECT_TRUE(received("[" + std::string(1000, ' ') + "1]", work).ok());
  EXPECT_LT(work.memory.bytes(), 200u) << "the text is gone, and spaces cost nothing";
  const auto refused = received(list_of("1", 200), work);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message, HasSubstr("--max-request-memory"));
}

TEST(RequestWork, ABodyOfTooManySmallValuesIsRefusedUnbuilt) {
  RequestMemory memory(size_t{1} << 30);
  for (const char* item : {"[1]", R"({"a":1})", R"("a")", R"([{}])"}) {
    RequestWork work(memory, std::stop_token());
    const auto refused = received(list_of(item, 300'000), work);
    ASSERT_FALSE(refused.ok()) << item;
    EXPECT_THAT(refused.status().message, HasSubstr("small values"));
  }
  RequestWork work(memory, std::stop_token());
  const std::string ids = list_of("1", 300'000);  // the cheapest of values, and what clients send
  EXPECT_TRUE(received(ids, work).ok());
  EXPECT_LE(memory.used(), 8 * ids.size() + 1000);
}

}  // namespace
}  // namespace erne::server
