#include "server/generation_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/fields.h"

namespace erne::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr RequestLimits kLimits{.vocab_size = 1000, .max_model_len = 2048, .max_logprobs = 20};

Result<GenerationRequest> completion(const std::string& fields) {
  return parse_generation_request(Endpoint::kCompletions, R"({"prompt":"x")" + fields + "}", {},
                                  kLimits);
}

Result<GenerationRequest> chat(const std::string& fields) {
  return parse_generation_request(Endpoint::kChat,
                                  R"({"messages":[{"role":"user","content":"x"}])" + fields + "}",
                                  {}, kLimits);
}

TEST(GenerationRequest, DefaultsAreFastDeploys) {
  const auto r = completion("").value();
  EXPECT_EQ(r.sampling.temperature, 1.0f);
  EXPECT_EQ(r.sampling.top_p, 0.7f);
  EXPECT_EQ(r.sampling.top_k, 0);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.0f);
  EXPECT_EQ(r.sampling.logprobs, -1);
  EXPECT_EQ(r.sampling.prompt_logprobs, -1);
  EXPECT_EQ(r.n, 1);
  EXPECT_FALSE(r.asked_tokens());
  EXPECT_FALSE(r.seed);
}

TEST(GenerationRequest, TheOperatorsDefaultsCount) {
  SamplingDefaults defaults;
  defaults.temperature = 0.25f;
  defaults.top_k = 5;
  const auto r =
      parse_generation_request(Endpoint::kCompletions,
                               R"({"prompt":"x","temperature":null,"top_k":7})", defaults, kLimits)
          .value();
  EXPECT_EQ(r.sampling.temperature, 0.25f);
  EXPECT_EQ(r.sampling.top_k, 7);
}

TEST(GenerationRequest, EveryNumberArrives) {
  const auto r = completion(R"(,"temperature":0.5,"top_p":0.25,"top_k":3,"min_p":0.125,
      "repetition_penalty":1.5,"frequency_penalty":-1,"presence_penalty":2,"seed":-1,
      "logit_bias":{"7":-100,"8":1.5},"n":3,"max_tokens":9,"min_tokens":2,"ignore_eos":true,
      "stop":["a","b"],"stop_token_ids":[4],"bad_words":"w","bad_words_token_ids":[5,[6,7]],
      "logprobs":4,"prompt_logprobs":2,"echo":true,"skip_special_tokens":false)")
                     .value();
  EXPECT_EQ(r.sampling.temperature, 0.5f);
  EXPECT_EQ(r.sampling.top_p, 0.25f);
  EXPECT_EQ(r.sampling.top_k, 3);
  EXPECT_EQ(r.sampling.min_p, 0.125f);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(r.sampling.frequency_penalty, -1.0f);
  EXPECT_EQ(r.sampling.presence_penalty, 2.0f);
  EXPECT_EQ(r.seed, ~uint64_t{0});
  EXPECT_THAT(r.sampling.logit_bias, ElementsAre(std::pair(7, -100.0f), std::pair(8, 1.5f)));
  EXPECT_EQ(r.n, 3);
  EXPECT_EQ(r.asked_tokens(), 9);
  EXPECT_EQ(r.min_tokens, 2);
  EXPECT_TRUE(r.ignore_eos);
  EXPECT_THAT(r.stop, ElementsAre("a", "b"));
  EXPECT_THAT(r.stop_token_ids, ElementsAre(4));
  EXPECT_THAT(r.bad_words, ElementsAre("w"));
  EXPECT_THAT(r.bad_words_token_ids, ElementsAre(ElementsAre(5), ElementsAre(6, 7)));
  EXPECT_EQ(r.sampling.logprobs, 4);
  EXPECT_EQ(r.prompt_logprobs_asked, 2);
  EXPECT_EQ(r.sampling.prompt_logprobs, 4);  // echo needs as many as logprobs
  EXPECT_FALSE(r.skip_special_tokens);
}

TEST(GenerationRequest, SmallTemperaturesAreGreedyAndTopKIsOffAtMinusOne) {
  EXPECT_EQ(completion(R"(,"temperature":0)").value().sampling.temperature, 0.0f);
  EXPECT_EQ(completion(R"(,"temperature":9e-6)").value().sampling.temperature, 0.0f);
  EXPECT_GT(completion(R"(,"temperature":1e-5)").value().sampling.temperature, 0.0f);
  EXPECT_GT(completion(R"(,"top_p":0)").value().sampling.top_p, 0.0f);
  EXPECT_EQ(completion(R"(,"top_k":-1)").value().sampling.top_k, 0);
}

TEST(GenerationRequest, MaxCompletionTokensWins) {
  EXPECT_EQ(chat(R"(,"max_tokens":5,"max_completion_tokens":3)").value().asked_tokens(), 3);
}

TEST(GenerationRequest, ChatLogprobsAreCountedByTopLogprobs) {
  EXPECT_EQ(chat("").value().sampling.logprobs, -1);
  EXPECT_EQ(chat(R"(,"logprobs":true)").value().sampling.logprobs, 0);
  EXPECT_EQ(chat(R"(,"logprobs":true,"top_logprobs":5)").value().sampling.logprobs, 5);
  EXPECT_EQ(chat(R"(,"logprobs":false)").value().sampling.logprobs, -1);
}

TEST(GenerationRequest, TokenIdsComeBeforeTextWhateverTheOrder) {
  for (const char* body : {R"({"prompt_token_ids":[1,2],"prompt":"x"})",
                           R"({"prompt":"x","prompt_token_ids":[1,2]})"}) {
    const auto r = parse_generation_request(Endpoint::kCompletions, body, {}, kLimits).value();
    ASSERT_EQ(r.prompts.size(), 1u);
    EXPECT_THAT(std::get<std::vector<TokenId>>(r.prompts[0]), ElementsAre(1, 2));
  }
}

TEST(GenerationRequest, TemplateVariablesArrive) {
  const auto r = chat(R"(,"chat_template_kwargs":{"a":[1]},"add_generation_prompt":false)").value();
  EXPECT_EQ(r.template_variables.dump(), R"({"add_generation_prompt":false,"a":[1]})");
}

// Every field of both tables refuses at least one kind of value, by its name, and takes null.
TEST(GenerationRequest, EveryFieldIsCheckedAndNullIsAbsent) {
  for (const auto table : {sampling_fields(), prompt_fields(), output_fields(), bystander_fields()})
    for (const Field& field : table)
      for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletions}) {
        if ((field.endpoints & static_cast<unsigned>(endpoint)) == 0) continue;
        const std::string name(field.name);
        const auto status_with = [&](const char* value) {
          GenerationRequest request(endpoint, {});
          const Json body = Json::parse("{\"" + name + "\":" + value + "}").value();
          return read_fields(body, endpoint, kLimits, request);
        };
        EXPECT_TRUE(status_with("null").ok()) << name;
        int num_refused = 0;
        for (const char* value : {"[{\"a\":[]}]", "-7.5", "{\"role\":7}", "true"}) {
          const auto read = status_with(value);
          if (read.ok()) continue;
          ++num_refused;
          EXPECT_THAT(read.status().message, HasSubstr(name));
          EXPECT_TRUE(read.status().param.starts_with(name)) << read.status().param;
        }
        EXPECT_GE(num_refused, 1) << name;
      }
}

TEST(GenerationRequest, NoFieldHasTwoRows) {
  for (const unsigned endpoint : {kChatOnly, kCompletionsOnly}) {
    std::set<std::string_view> names;
    for (const auto table :
         {sampling_fields(), prompt_fields(), output_fields(), bystander_fields()})
      for (const Field& field : table)
        EXPECT_TRUE((field.endpoints & endpoint) == 0 || names.insert(field.name).second)
            << field.name;
  }
}

TEST(GenerationRequest, LongValuesAreNotRepeatedInMessages) {
  const std::string text(100'000, 'x');
  for (const auto& fields : {",\"temperature\":\"" + text + "\"", ",\"" + text + "\":1"}) {
    const auto r = completion(fields);
    ASSERT_FALSE(r.ok());
    EXPECT_LT(r.status().message.size(), 300u);
    EXPECT_LT(r.status().param.size(), 100u);
  }
}

}  // namespace
}  // namespace erne::server
