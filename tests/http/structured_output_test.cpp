// Requests that say what their answer must look like, over sockets: what reaches the engine, and
// what is refused with which place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "grammar/answer_constraint.h"
#include "server_fixture.h"

namespace erne::server {
namespace {

using ::testing::HasSubstr;

class StructuredOutput : public testing::Test {
 protected:
  RawResponse ask(const std::string& fields, const std::string& prompt = "Once") {
    return server_.client()
        .ask("POST", kPath, "{\"prompt\":\"" + prompt + "\",\"max_tokens\":2," + fields + "}")
        .value();
  }
  const grammar::AnswerRules* rules_of(const std::string& fields,
                                       const std::string& prompt = "Once") {
    const RawResponse response = ask(fields, prompt);
    EXPECT_EQ(response.status, 200) << response.body;
    last_ = server_.engine.last_request().value();
    return dynamic_cast<const grammar::AnswerRules*>(last_.notes.get());
  }

  TestServer server_;
  sched::Request last_;
};

TEST_F(StructuredOutput, EveryKindReachesTheEngine) {
  for (
      const char* fields :
      {R"("response_format":{"type":"json_object"})",
       R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"null"}}})",
       R"("guided_json":{"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"null"}}})",
       R"("guided_regex":"[a-z]+ \\d")", R"("guided_choice":["yes","no"])",
       R"("guided_grammar":"root ::= \"(\" root \")\" | [0-9]+")",
       R"("structural_tag":{"structures":[{"begin":"<f>","schema":{},"end":"</f>"}],"triggers":["<f"]})",
       R"("structured_outputs":{"choice":["a"]})"}) {
    const grammar::AnswerRules* rules = rules_of(fields);
    ASSERT_NE(rules, nullptr) << fields;
    EXPECT_NE(rules->grammar, nullptr);
    EXPECT_FALSE(rules->thought.has_value());
  }
  EXPECT_EQ(rules_of(R"("response_format":{"type":"text"})"), nullptr);
}

TEST_F(StructuredOutput, TheGrammarDecidesWhenTheAnswerEnds) {
  const grammar::AnswerRules* rules = rules_of(
      R"("guided_regex":"a*","stop_token_ids":[7],"min_tokens":2,"ignore_eos":true,"n":2)");
  ASSERT_NE(rules, nullptr);
  EXPECT_THAT(rules->end_ids, testing::Contains(7));
  EXPECT_EQ(rules->min_tokens, 2);
  EXPECT_TRUE(rules->ends_late);
  EXPECT_FALSE(last_.stop.ignore_eos);
  EXPECT_EQ(last_.stop.min_new_tokens, 0);
}

TEST_F(StructuredOutput, AThoughtThatThePromptBeginsComesBeforeTheGrammar) {
  const TokenId end = *TestServer::tokenizer().find("</think>");
  for (const char* prompt : {"Once<think>", "Once<think>\\n\\n"}) {
    const grammar::AnswerRules* rules = rules_of(R"("guided_regex":"a")", prompt);
    ASSERT_NE(rules, nullptr);
    ASSERT_TRUE(rules->thought.has_value()) << prompt;
    EXPECT_EQ(rules->thought->end, end);
  }
  for (const char* prompt : {"Once<think>so</think>", "What is <think> for?"})
    EXPECT_FALSE(rules_of(R"("guided_regex":"a")", prompt)->thought.has_value()) << prompt;
}

TEST_F(StructuredOutput, WhatCannotBeServedIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("guided_json":{"properties":{"a":{"not":{}}}})", "guided_json: properties.a.not"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"int"}}})",
       "response_format.json_schema.schema: type must be one of"},
      {R"("guided_json":{"oneOf":[{"type":"integer"},{"type":"number"}]})", "oneOf"},
      {R"("guided_json":{"$ref":"http://example.org/"})", "guided_json: $ref"},
      {R"("guided_regex":"a(")", "guided_regex: it is no regular expression"},
      {R"("guided_regex":"(?=a)b")", "look-around"},
      {R"("guided_grammar":"root ::= other")", "guided_grammar: line 1: there is no rule other"},
      {R"("structural_tag":{"structures":[{"begin":"<f>","end":"</f>"}],"triggers":["<g"]})",
       "structural_tag: triggers[0]"},
      {R"("guided_json":{"minimum":5,"maximum":3,"type":"integer"})", "guided_json"},
      {R"("guided_json":{"type":"string","maxLength":1000000,"minLength":999999,"pattern":"(a|b){1,900}"})",
       "guided_json"},
      {R"("guided_regex":"a","completion_token_ids":[5])", "completion_token_ids"},
  };
  for (const auto& [fields, sentence] : cases) {
    const RawResponse response = ask(fields);
    EXPECT_EQ(response.status, 400) << fields << response.body;
    EXPECT_THAT(response.body, HasSubstr(sentence));
    EXPECT_THAT(response.body, HasSubstr(R"("code":")"));
  }
}

TEST(StructuredOutputAlone, NeedsATokenizer) {
  TestServer server({}, /*with_tokenizer=*/false);
  const RawResponse response =
      server.client().ask("POST", kPath, R"({"prompt":[5],"guided_regex":"a"})").value();
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("guided_regex needs a tokenizer"));
}

}  // namespace
}  // namespace erne::server
