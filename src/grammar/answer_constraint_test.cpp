// Constraints follow an output token by token, back and forth; whatever they let through to its end
// is what was asked for.
#include "grammar/answer_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/json.h"
#include "grammar/grammar_compiler.h"
#include "grammar/letters_fixture.h"
#include "grammar/structural_tag.h"

namespace erne::grammar {
namespace {

using ::testing::ElementsAre;
using Tokens = std::vector<TokenId>;
constexpr TokenId kEos = 2;

// Judges JSON by the keywords that the schemas below have.
bool is_valid(const Json& value, const Json& schema) {
  const auto has_type = [&](const std::string& type) {
    return type == value.type_name() || (type == "number" && value.is_integer());
  };
  for (const auto& [keyword, rule] : schema.as_object()) {
    if (keyword == "type" && !has_type(rule.as_string())) return false;
    if (keyword == "enum" && std::ranges::find(rule.as_array(), value) == rule.as_array().end())
      return false;
    if (keyword == "minimum" && value.as_double() < rule.as_double()) return false;
    if (keyword == "maximum" && value.as_double() > rule.as_double()) return false;
    if (keyword == "maxLength" && value.as_string().size() > rule.as_bits()) return false;
    if (keyword == "minItems" && value.as_array().size() < rule.as_bits()) return false;
    if (keyword == "maxItems" && value.as_array().size() > rule.as_bits()) return false;
    if (keyword == "required")
      for (const Json& name : rule.as_array())
        if (value.find(name.as_string()) == nullptr) return false;
    if (keyword == "items")
      for (const Json& item : value.as_array())
        if (!is_valid(item, rule)) return false;
    if (keyword == "properties")
      for (const auto& [name, member] : value.as_object())
        if (rule.find(name) == nullptr || !is_valid(member, *rule.find(name))) return false;
  }
  return true;
}

class AnswerConstraintTest : public testing::Test {
 protected:
  AnswerConstraintTest()
      : tokenizer_(letters_tokenizer(true)), compiler_(*tokenizer_, tokenizer_->size()) {}

  std::shared_ptr<AnswerRules> rules(Kind kind, const std::string& text) {
    return rules_of({kind, text});
  }
  std::shared_ptr<AnswerRules> rules_of(const Source& source) {
    auto out = std::make_shared<AnswerRules>();
    auto grammar = compiler_.compile(source);
    EXPECT_TRUE(grammar.ok()) << grammar.status().message;
    if (grammar.ok()) out->grammar = *grammar;
    out->end_ids = {kEos};
    return out;
  }
  TokenId mark(const char* text) const { return *tokenizer_->find(text); }
  Tokens encode(std::string_view text) const {
    return tokenizer_->encode(text, text::Specials::kAsText, false);
  }

  // What is beyond the last word may not come.
  static bool is_set(std::span<const uint32_t> words, TokenId id) {
    const auto word = static_cast<size_t>(id) / 32;
    return word < words.size() && (words[word] >> (id % 32) & 1) != 0;
  }
  Tokens allowed(AnswerConstraint& constraint) const {
    const std::span<const uint32_t> words = constraint.allowed();
    Tokens out;
    for (TokenId id = 0; id < tokenizer_->size(); ++id)
      if (words.empty() || is_set(words, id)) out.push_back(id);
    return out;
  }
  bool allows(AnswerConstraint& constraint, TokenId id) const {
    const Tokens all = allowed(constraint);
    return std::ranges::find(all, id) != all.end();
  }
  void accept(AnswerConstraint& constraint, std::string_view text) const {
    constraint.accept(encode(text));
  }

  std::unique_ptr<text::Tokenizer> tokenizer_;
  GrammarCompiler compiler_;
};

// A walk draws tokens among those that are allowed, takes some back now and then, and must find at
// each place what a constraint that never went back finds there.
TEST_F(AnswerConstraintTest, WhateverComesToItsEndIsWhatWasAskedFor) {
  const char* schemas[] = {
      R"({"type":"object","properties":{"name":{"type":"string","maxLength":6},"tr":{"type":"boolean"},
          "n":{"type":"integer","minimum":-3,"maximum":120}},"required":["name","n"],
          "additionalProperties":false})",
      R"({"type":"array","items":{"enum":["me",null,7]},"minItems":1,"maxItems":4})",
      R"({"type":"array","items":{"type":"object","properties":{"na":{"type":"boolean"}},
          "required":["na"],"additionalProperties":false},"minItems":1,"maxItems":2})",
  };
  std::mt19937 random(5);
  int num_ended = 0;
  for (const char* text : schemas) {
    const Json schema = Json::parse(text).value();
    for (int walk = 0; walk < 60; ++walk) {
      const auto shared = rules(Kind::kJsonSchema, text);
      AnswerConstraint constraint(shared);
      Tokens output;
      for (int step = 0; step < 300 && (output.empty() || output.back() != kEos); ++step) {
        const Tokens choices = allowed(constraint);
        ASSERT_FALSE(constraint.failure().has_value()) << constraint.failure()->message;
        ASSERT_FALSE(choices.empty());
        const TokenId token = choices[random() % choices.size()];
        output.push_back(token);
        constraint.accept({&token, 1});
        if (random() % 4 == 0) {
          const int back = static_cast<int>(random() % (output.size() + 1));
          output.resize(output.size() - back);
          constraint.rollback(back);
          AnswerConstraint straight(shared);
          straight.accept(output);
          ASSERT_EQ(allowed(constraint), allowed(straight));
        }
      }
      if (output.empty() || output.back() != kEos) continue;
      ++num_ended;
      const auto json = Json::parse(tokenizer_->decode(output, /*skip_special=*/true));
      ASSERT_TRUE(json.ok()) << tokenizer_->decode(output, true);
      EXPECT_TRUE(is_valid(*json, schema)) << json->dump();
    }
  }
  EXPECT_GT(num_ended, 60);
}

TEST_F(AnswerConstraintTest, TheEndComesWhereTheGrammarEnds) {
  AnswerConstraint constraint(rules(Kind::kRegex, "ab?"));
  EXPECT_EQ(allowed(constraint), encode("a"));
  accept(constraint, "a");
  EXPECT_THAT(allowed(constraint), ElementsAre(kEos, encode("b")[0]));
  accept(constraint, "b");
  EXPECT_THAT(allowed(constraint), ElementsAre(kEos));
  constraint.accept(Tokens{kEos});
  EXPECT_THAT(allowed(constraint), ElementsAre(kEos));
  constraint.rollback(2);
  EXPECT_THAT(allowed(constraint), ElementsAre(kEos, encode("b")[0]));
}

TEST_F(AnswerConstraintTest, EndsThatAreNotWantedYetComeOnlyForWantOfElse) {
  const auto late = rules(Kind::kRegex, "ab?");
  late->ends_late = true;
  const auto least = rules(Kind::kRegex, "ab?");
  least->min_tokens = 2;
  for (const auto& shared : {late, least}) {
    AnswerConstraint constraint(shared);
    accept(constraint, "a");
    EXPECT_EQ(allowed(constraint), encode("b"));
    accept(constraint, "b");
    EXPECT_THAT(allowed(constraint), ElementsAre(kEos));
  }
}

TEST_F(AnswerConstraintTest, AStopTokenThatIsTextMayComeAsText) {
  const auto shared = rules(Kind::kRegex, "(ab)+c");
  shared->end_ids.push_back(encode("b")[0]);
  AnswerConstraint constraint(shared);
  accept(constraint, "a");
  EXPECT_EQ(allowed(constraint), encode("b"));
  const auto least = rules(Kind::kRegex, "a(b|c)");
  least->end_ids.push_back(encode("b")[0]);
  least->min_tokens = 5;
  AnswerConstraint waiting(least);
  accept(waiting, "a");
  EXPECT_EQ(allowed(waiting), encode("c"));
}

TEST_F(AnswerConstraintTest, TheGrammarBeginsAfterTheThought) {
  const auto shared = rules(Kind::kRegex, "ab");
  shared->thought = ThoughtRules{.end = mark("</think>"), .max_tokens = {}, .closing = {}};
  AnswerConstraint constraint(shared);
  EXPECT_FALSE(allows(constraint, kEos));
  EXPECT_TRUE(allows(constraint, mark("</think>")));
  EXPECT_EQ(allowed(constraint).size(), static_cast<size_t>(tokenizer_->size()) - 1);
  accept(constraint, "hm");
  constraint.accept(Tokens{mark("</think>")});
  EXPECT_EQ(allowed(constraint), encode("a"));
  accept(constraint, "a");
  constraint.rollback(2);  // back over the thought's end
  EXPECT_TRUE(allows(constraint, mark("</think>")));
  EXPECT_FALSE(allows(constraint, kEos));
  constraint.accept(Tokens{mark("</think>")});
  EXPECT_EQ(allowed(constraint), encode("a"));
}

TEST_F(AnswerConstraintTest, AThoughtThatIsTooLongIsClosed) {
  const Tokens closing = {encode("n")[0], mark("</think>")};
  const auto shared = std::make_shared<AnswerRules>();
  shared->thought = ThoughtRules{.end = mark("</think>"), .max_tokens = 2, .closing = closing};
  AnswerConstraint constraint(shared);
  EXPECT_TRUE(constraint.allowed().empty());  // no grammar: anything may come
  accept(constraint, "hm");
  EXPECT_THAT(allowed(constraint), ElementsAre(closing[0]));
  EXPECT_EQ(constraint.likely(), closing);
  constraint.accept({closing.data(), 1});
  EXPECT_THAT(allowed(constraint), ElementsAre(closing[1]));
  constraint.rollback(2);
  EXPECT_TRUE(constraint.allowed().empty());
  accept(constraint, "n");
  constraint.accept(closing);
  EXPECT_TRUE(constraint.allowed().empty());
  EXPECT_TRUE(constraint.likely().empty());
}

TEST_F(AnswerConstraintTest, MarksAreTokensOfTheirOwn) {
  StructuralTag tag;
  tag.structures.push_back({.begin = "<tool_call>{\"name", .schema = true, .end = "}<tool_call>"});
  tag.triggers = {"<tool_call>"};
  AnswerConstraint constraint(rules_of(source_of(tag, *tokenizer_)));
  // Text is free, whatever it looks like.
  for (const char letter : std::string_view("<tool_call>")) accept(constraint, {&letter, 1});
  EXPECT_TRUE(allows(constraint, kEos));
  EXPECT_FALSE(allows(constraint, mark("<think>")));
  constraint.accept(Tokens{mark("<tool_call>")});
  EXPECT_FALSE(allows(constraint, kEos));
  EXPECT_THAT(allowed(constraint), ElementsAre(encode("{")[0], encode("{\"")[0]));
  accept(constraint, "{\"name1}");
  constraint.accept(Tokens{mark("<tool_call>")});
  EXPECT_TRUE(allows(constraint, kEos));
  EXPECT_FALSE(constraint.failure().has_value());
}

TEST_F(AnswerConstraintTest, StructuresMayStandAlone) {
  StructuralTag tag;
  tag.structures.push_back({.begin = "<tool_call>", .schema = true, .end = "</think>"});
  tag.free_text = false;
  tag.at_least_one = true;
  tag.separator = "\n";
  AnswerConstraint constraint(rules_of(source_of(tag, *tokenizer_)));
  EXPECT_THAT(allowed(constraint), ElementsAre(mark("<tool_call>")));
  tag.at_most_one = true;
  AnswerConstraint once(rules_of(source_of(tag, *tokenizer_)));
  once.accept(Tokens{mark("<tool_call>")});
  accept(once, "7");
  once.accept(Tokens{mark("</think>")});
  EXPECT_THAT(allowed(once), ElementsAre(kEos));
}

TEST_F(AnswerConstraintTest, WhatLeavesNoChoiceIsProposed) {
  const char* schema =
      R"({"type":"object","properties":{"name":{"type":"boolean"}},"required":["name"],
          "additionalProperties":false})";
  AnswerConstraint constraint(rules(Kind::kJsonSchema, schema));
  accept(constraint, "{\"");
  EXPECT_EQ(constraint.likely(), encode("name"));  // its closing quote may go on as ":
  accept(constraint, "name");
  EXPECT_TRUE(constraint.likely().empty());
}

TEST_F(AnswerConstraintTest, ATokenThatMayNotComeIsAFailureThatStays) {
  AnswerConstraint constraint(rules(Kind::kRegex, "ab"));
  accept(constraint, "b");
  EXPECT_TRUE(constraint.allowed().empty());
  ASSERT_TRUE(constraint.failure().has_value());
  EXPECT_EQ(constraint.failure()->code, Code::kInternal);
  constraint.rollback(1);
  EXPECT_TRUE(constraint.failure().has_value());
}

TEST_F(AnswerConstraintTest, OnlyRequestsWithRulesHaveAConstraint) {
  sched::Request request;
  EXPECT_EQ(make_constraint(request), nullptr);
  request.notes = rules(Kind::kRegex, "a");
  EXPECT_NE(make_constraint(request), nullptr);
}

TEST_F(AnswerConstraintTest, WhatWasAskedForLastIsKept) {
  const auto first = compiler_.compile({Kind::kRegex, "a"}).value();
  EXPECT_EQ(compiler_.compile({Kind::kRegex, "a"}).value(), first);
  EXPECT_NE(compiler_.compile({Kind::kChoice, R"(["a"])"}).value(), first);
  for (size_t i = 0; i < GrammarCompiler::kMaxKept; ++i)
    ASSERT_TRUE(compiler_.compile({Kind::kRegex, std::to_string(i)}).ok());
  EXPECT_NE(compiler_.compile({Kind::kRegex, "a"}).value(), first);
}

}  // namespace
}  // namespace erne::grammar
