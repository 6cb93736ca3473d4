#include "server/generation_request.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "server/fields.h"
#include "server/request_fixture.h"

namespace erne::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GenerationRequest, DefaultsAreFastDeploys) {
  const auto r = completion("").value();
  EXPECT_EQ(r.sampling.temperature, 1.0f);
  EXPECT_EQ(r.sampling.top_p, 0.7f);
  EXPECT_EQ(r.sampling.top_k, 0);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.0f);
  EXPECT_FALSE(r.output_scores);
  EXPECT_FALSE(r.prompt_scores);
  EXPECT_EQ(r.n, 1);
  EXPECT_FALSE(r.asked_tokens());
  EXPECT_FALSE(r.seed);
}

TEST(GenerationRequest, TheOperatorsDefaultsCount) {
  SamplingDefaults defaults;
  defaults.temperature = 0.25f;
  defaults.top_k = 5;
  const auto r = parse_text(Endpoint::kCompletions,
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
  EXPECT_EQ(r.seed, (Seed{~uint64_t{0}, true}));
  EXPECT_THAT(r.sampling.logit_bias, ElementsAre(std::pair(7, -100.0f), std::pair(8, 1.5f)));
  EXPECT_EQ(r.n, 3);
  EXPECT_EQ(r.asked_tokens(), 9);
  EXPECT_EQ(r.min_tokens, 2);
  EXPECT_TRUE(r.ignore_eos);
  EXPECT_THAT(r.stop, ElementsAre("a", "b"));
  EXPECT_THAT(r.stop_token_ids, ElementsAre(4));
  EXPECT_THAT(r.bad_words, ElementsAre("w"));
  EXPECT_THAT(r.bad_words_token_ids, ElementsAre(ElementsAre(5), ElementsAre(6, 7)));
  EXPECT_EQ(r.output_scores, 4);
  EXPECT_EQ(r.prompt_scores, 2);
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
  EXPECT_EQ(chat("").value().output_scores, std::nullopt);
  EXPECT_EQ(chat(R"(,"logprobs":true)").value().output_scores, 0);
  EXPECT_EQ(chat(R"(,"logprobs":true,"top_logprobs":5)").value().output_scores, 5);
  EXPECT_EQ(chat(R"(,"logprobs":false)").value().output_scores, std::nullopt);
  EXPECT_EQ(chat(R"(,"logprobs":false,"top_logprobs":0)").value().output_scores, std::nullopt);
  EXPECT_FALSE(chat(R"(,"logprobs":false,"top_logprobs":1)").ok());
  EXPECT_FALSE(chat(R"(,"top_logprobs":1)").ok());
}

TEST(GenerationRequest, TokenIdsComeBeforeTextWhateverTheOrder) {
  for (const char* body : {R"({"prompt_token_ids":[1,2],"prompt":"x"})",
                           R"({"prompt":"x","prompt_token_ids":[1,2]})"}) {
    const auto r = parse_text(Endpoint::kCompletions, body, {}, kLimits).value();
    ASSERT_EQ(r.prompts.size(), 1u);
    EXPECT_THAT(std::get<std::vector<TokenId>>(r.prompts[0]), ElementsAre(1, 2));
  }
}

TEST(GenerationRequest, TemplateVariablesArrive) {
  const auto r = chat(R"(,"chat_template_kwargs":{"a":[1]},"add_generation_prompt":false)").value();
  EXPECT_EQ(r.template_variables.dump(), R"({"a":[1],"add_generation_prompt":false})");
}

// A message is read alike whatever stands beside it, and never by the order of the members.
TEST(GenerationRequest, TheOrderOfMembersDecidesNothing) {
  const std::vector<std::pair<Endpoint, std::vector<std::string>>> sets = {
      {Endpoint::kChat,
       {R"("messages":[{"role":"user","content":"x"}])", R"("add_generation_prompt":false)",
        R"("chat_template_kwargs":{"add_generation_prompt":true,"a":1})"}},
      {Endpoint::kChat,
       {R"("messages":[{"role":"user","content":"x"}])", R"("add_generation_prompt":true)",
        R"("chat_template_kwargs":{"add_generation_prompt":true})"}},
      {Endpoint::kChat, {R"("messages":[1,2])", R"("prompt_token_ids":[3])", R"("n":2)"}},
      {Endpoint::kChat, {R"("messages":[{"role":"king"}])", R"("prompt_token_ids":[3])"}},
      {Endpoint::kChat,
       {R"("messages":[{"role":"user","content":"x"}])", R"("logprobs":true)",
        R"("top_logprobs":3)"}},
      {Endpoint::kChat,
       {R"("messages":[{"role":"user","content":"x"}])", R"("max_tokens":3)",
        R"("max_completion_tokens":5)", R"("min_tokens":4)"}},
      {Endpoint::kCompletions, {R"("prompt":"x")", R"("prompt_token_ids":[1,2])"}},
      {Endpoint::kCompletions, {R"("prompt":5)", R"("prompt_token_ids":[1,2])"}},
      {Endpoint::kCompletions, {R"("prompt":"x")", R"("prompt_token_ids":"y")"}},
      {Endpoint::kCompletions, {R"("prompt":"x")", R"("n":3)", R"("best_of":2)"}},
      {Endpoint::kCompletions,
       {R"("prompt":"x")", R"("stream_options":{"include_usage":true})", R"("stream":true)"}},
      {Endpoint::kCompletions, {R"("prompt":"x")", R"("temperature":9)", R"("top_p":9)"}},
  };
  for (const auto& [endpoint, members] : sets) {
    std::vector<size_t> order(members.size());
    std::iota(order.begin(), order.end(), 0);
    std::set<std::string> outcomes;
    do {
      std::string body;
      for (const size_t i : order) body += (body.empty() ? "{" : ",") + members[i];
      const auto r = parse_text(endpoint, body + "}", {}, kLimits);
      outcomes.insert(r.ok() ? fmt::format("{} {} {} {} {} {}", r->template_variables.dump(),
                                           r->prompts.size(), r->messages.dump(),
                                           r->output_scores.value_or(-1),
                                           r->asked_tokens().value_or(-1), r->n)
                             : r.status().message);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_EQ(outcomes.size(), 1u) << ::testing::PrintToString(outcomes);
  }
  EXPECT_THAT(chat(R"(,"add_generation_prompt":false,"chat_template_kwargs":)"
                   R"({"add_generation_prompt":true})")
                  .status()
                  .message,
              HasSubstr("chat_template_kwargs.add_generation_prompt"));
}

TEST(GenerationRequest, WholeNumbersCountHoweverTheyAreWritten) {
  for (const char* four : {"4", "4.0", "4e0", "0.4e1"}) {
    const std::string v = four;
    const auto r = completion(
        ",\"n\":" + v + ",\"max_tokens\":" + v + ",\"min_tokens\":" + v + ",\"top_k\":" + v +
        ",\"seed\":" + v + ",\"logprobs\":" + v + ",\"prompt_logprobs\":" + v +
        ",\"stop_token_ids\":[" + v + "],\"bad_words_token_ids\":[" + v + ",[" + v +
        "]],\"completion_token_ids\":[" + v + "],\"best_of\":" + v + ",\"prompt_token_ids\":[" + v +
        "]" + ",\"max_streaming_response_tokens\":1.0");
    ASSERT_TRUE(r.ok()) << r.status().message;
    EXPECT_EQ(r->n, 4);
    EXPECT_EQ(r->asked_tokens(), 4);
    EXPECT_EQ(r->min_tokens, 4);
    EXPECT_EQ(r->sampling.top_k, 4);
    EXPECT_EQ(r->seed, (Seed{4, false}));
    EXPECT_EQ(r->output_scores, 4);
    EXPECT_EQ(r->prompt_scores, 4);
    EXPECT_THAT(r->stop_token_ids, ElementsAre(4));
    EXPECT_THAT(r->bad_words_token_ids, ElementsAre(ElementsAre(4), ElementsAre(4)));
    EXPECT_THAT(r->completion_token_ids, ElementsAre(4));
    EXPECT_THAT(std::get<std::vector<TokenId>>(r->prompts[0]), ElementsAre(4));
  }
  for (const char* half : {"4.5", "-0.5", "1e-3", "\"4\"", "true", "[4]"}) {
    EXPECT_FALSE(completion(std::string(",\"n\":") + half).ok()) << half;
    EXPECT_FALSE(completion(std::string(",\"max_tokens\":") + half).ok()) << half;
  }
}

TEST(GenerationRequest, EverySeedIsAnotherAndBeyondTheRangeIsRefusedWithTheRange) {
  std::vector<Seed> seeds;
  for (const char* text :
       {"0", "1", "-1", "9223372036854775807", "9223372036854775808", "9223372036854775809",
        "18446744073709551614", "18446744073709551615", "-9223372036854775808", "-2"}) {
    const auto r = completion(std::string(",\"seed\":") + text);
    ASSERT_TRUE(r.ok()) << text;
    for (const Seed& other : seeds) EXPECT_FALSE(other == *r->seed) << text;
    seeds.push_back(*r->seed);
  }
  for (const char* text : {"1.5", "1e300", "-1e19", "\"1\"", "true", "18446744073709551616.0"}) {
    const auto r = completion(std::string(",\"seed\":") + text);
    ASSERT_FALSE(r.ok()) << text;
    EXPECT_THAT(r.status().message, HasSubstr("from -9223372036854775808 to 18446744073709551615"));
  }
}

TEST(GenerationRequest, MaxTokensIsCutNotRefused) {
  for (const char* text : {"2147483647", "2147483648", "9223372036854775808",
                           "18446744073709551615", "1e18", "1e300"}) {
    EXPECT_EQ(completion(std::string(",\"max_tokens\":") + text).value().asked_tokens(),
              std::numeric_limits<int>::max())
        << text;
    EXPECT_EQ(chat(std::string(",\"max_completion_tokens\":") + text).value().asked_tokens(),
              std::numeric_limits<int>::max())
        << text;
  }
  EXPECT_FALSE(completion(R"(,"max_tokens":-1)").ok());
}

TEST(GenerationRequest, WhatAsksForNothingIsTaken) {
  for (const char* fields : {
           R"("functions":[])",
           R"("function_call":"none")",
           R"("function_call":"auto")",
           R"("verbosity":"medium")",
           R"("reasoning_effort":"medium")",
           R"("tools":[])",
           R"("tool_choice":"none")",
           R"("tool_choice":"auto")",
           R"("response_format":{"type":"text"})",
           R"("modalities":["text"])",
           R"("store":false)",
           R"("service_tier":"auto")",
           R"("service_tier":"default")",
           R"("parallel_tool_calls":true)",
           R"("logprobs":false,"top_logprobs":0)",
           R"("prompt_logprobs":false)",
           R"("stop":[])",
           R"("logit_bias":{})",
           R"("metadata":{})",
           R"("bad_words":[])",
           R"("stream":false,"stream_options":{"include_usage":false})",
           R"("stream_options":{})",
           R"("guided_choice":[])",
           R"("guided_regex":"")",
           R"("structured_outputs":{})",
           R"("mm_processor_kwargs":{})",
           R"("n":1)",
       })
    EXPECT_TRUE(chat("," + std::string(fields)).ok()) << fields;
  EXPECT_TRUE(completion(R"(,"suffix":"","best_of":1,"echo":false,"logprobs":false)").ok());
  for (const char* fields :
       {R"("functions":[{}])", R"("function_call":{"name":"f"})", R"("verbosity":"low")",
        R"("web_search_options":{})", R"("audio":{})", R"("tool_choice":"required")"})
    EXPECT_FALSE(chat("," + std::string(fields)).ok()) << fields;
}

TEST(GenerationRequest, EveryFieldForAnAnswersFormatIsRead) {
  const std::pair<const char*, grammar::Source> cases[] = {
      {R"("response_format":{"type":"json_object"})",
       {grammar::Kind::kJsonSchema, R"({"type":"object"})"}},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a-b_1","strict":true,
          "description":"d","schema":{"type":"null"}}})",
       {grammar::Kind::kJsonSchema, R"({"type":"null"})"}},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a"}})",
       {grammar::Kind::kJsonSchema, R"({"type":"object"})"}},
      {R"("guided_json":{"type":"null"})", {grammar::Kind::kJsonSchema, R"({"type":"null"})"}},
      {R"("guided_json":"{\"type\":\"null\"}")",
       {grammar::Kind::kJsonSchema, R"({"type":"null"})"}},
      {R"("guided_regex":"a+")", {grammar::Kind::kRegex, "a+"}},
      {R"("guided_choice":["a","b"])", {grammar::Kind::kChoice, R"(["a","b"])"}},
      {R"("guided_grammar":"root ::= a")", {grammar::Kind::kEbnf, "root ::= a"}},
      {R"("structured_outputs":{"json":{}})", {grammar::Kind::kJsonSchema, "{}"}},
      {R"("structured_outputs":{"regex":"a+","json":null})", {grammar::Kind::kRegex, "a+"}},
      {R"("structured_outputs":{"choice":["a"]})", {grammar::Kind::kChoice, R"(["a"])"}},
      {R"("structured_outputs":{"grammar":"root ::= a"})", {grammar::Kind::kEbnf, "root ::= a"}},
      {R"("structured_outputs":{"json_object":true})",
       {grammar::Kind::kJsonSchema, R"({"type":"object"})"}},
  };
  for (const auto& [fields, source] : cases)
    for (const auto& r : {chat("," + std::string(fields)), completion("," + std::string(fields))}) {
      ASSERT_TRUE(r.ok()) << r.status().message;
      ASSERT_TRUE(r->answer_format.has_value()) << fields;
      EXPECT_EQ(std::get<grammar::Source>(r->answer_format->what), source) << fields;
    }
  const std::string tag = R"({"type":"structural_tag","structures":[{"begin":"<a>","schema":{},
      "end":"</a>"}],"triggers":["<a"]})";
  for (const std::string& field : {"\"response_format\":" + tag, "\"structural_tag\":" + tag,
                                   "\"structural_tag\":" + Json(tag).dump(),
                                   "\"structured_outputs\":{\"structural_tag\":" + tag + "}"}) {
    const auto r = chat("," + field);
    ASSERT_TRUE(r.ok()) << r.status().message;
    EXPECT_EQ(std::get<grammar::StructuralTag>(r->answer_format->what).triggers.size(), 1u);
  }
}

TEST(GenerationRequest, AnAnswersFormatThatIsWrongIsRefusedByItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("response_format":{"type":"yaml"})", "response_format.type"},
      {R"("response_format":{"type":"json_object","schema":{}})", "response_format"},
      {R"("response_format":{"type":"json_schema"})", "response_format.json_schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":5}})",
       "response_format.json_schema.schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a b"}})",
       "response_format.json_schema.name"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schemas":{}}})",
       "response_format.json_schema"},
      {R"("guided_json":"{")", "guided_json"},
      {R"("guided_choice":"a")", "guided_choice"},
      {R"("guided_choice":["a",""])", "guided_choice[1]"},
      {R"("structured_outputs":{"jsn":{}})", "structured_outputs"},
      {R"("structured_outputs":{"whitespace_pattern":" "})",
       "structured_outputs.whitespace_pattern"},
      {R"("structural_tag":{"structures":[],"triggers":["a"]})", "structural_tag.structures"},
      {R"("structural_tag":{"structures":[{"begin":"a","end":7}],"triggers":["a"]})",
       "structural_tag.structures[0].end"},
      {R"("structural_tag":{"structures":[{"begin":"a","end":"b","x":1}],"triggers":["a"]})",
       "structural_tag.structures[0]"},
      {R"("structural_tag":{"format":{}})", "structural_tag"},
      {R"("guided_regex":"a","guided_json":{})", "guided_regex"},
      {R"("response_format":{"type":"json_object"},"guided_json":{})", "guided_json"},
      {R"("structured_outputs":{"json":{},"regex":"a"})", "structured_outputs.regex"},
  };
  for (const auto& [fields, param] : cases) {
    const auto r = chat("," + std::string(fields));
    ASSERT_FALSE(r.ok()) << fields;
    EXPECT_EQ(r.status().param, param) << r.status().message;
    EXPECT_THAT(r.status().message, HasSubstr(param));
  }
}

TEST(GenerationRequest, AMessageWithoutContentIsRefusedByName) {
  const auto with = [](const std::string& message) {
    return parse_text(Endpoint::kChat, "{\"messages\":[" + message + "]}", {}, kLimits);
  };
  for (const char* message :
       {R"({"role":"user"})", R"({"role":"user","content":null})", R"({"role":"system"})",
        R"({"role":"tool","tool_call_id":"1"})", R"({"role":"assistant"})",
        R"({"role":"assistant","tool_calls":[]})", R"({"role":"assistant","content":null})",
        R"({"role":"user","tool_calls":[{"id":"1","function":{"name":"f"}}]})"}) {
    const auto r = with(message);
    ASSERT_FALSE(r.ok()) << message;
    EXPECT_EQ(r.status().param, "messages[0].content");
  }
  for (const char* message :
       {R"({"role":"user","content":""})",
        R"({"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]})",
        R"({"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f"}}]})",
        R"({"role":"user","content":[]})"})
    EXPECT_TRUE(with(message).ok()) << message;
}

TEST(GenerationRequest, LogitBiasNamesATokenOnce) {
  EXPECT_FALSE(completion(R"(,"logit_bias":{"7":1,"7":2})").ok());
  EXPECT_FALSE(completion(R"(,"logit_bias":{"7":1,"07":2})").ok());
}

// Every field of both tables refuses at least one kind of value, by its name, and takes null.
TEST(GenerationRequest, EveryFieldIsCheckedAndNullIsAbsent) {
  for (const auto table : {sampling_fields(), prompt_fields(), thinking_fields(), tool_fields(),
                           structured_output_fields(), output_fields(), bystander_fields()})
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
    for (const auto table : {sampling_fields(), prompt_fields(), structured_output_fields(),
                             output_fields(), bystander_fields()})
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
