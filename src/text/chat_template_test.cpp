#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_folder_fixture.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Json kNothing;

Json one_message(const char* content) {
  return Json::Array{Json(Json::Object{{"role", "user"}, {"content", content}})};
}

ChatTemplate compiled(const std::string& text, Json::Object globals = {}) {
  return ChatTemplate::compile({text, ""}, std::move(globals)).value();
}

Json or_null(const Json* value) {
  return value == nullptr ? Json() : *value;
}

TEST(ChatTemplate, RendersTheGoldenConversations) {
  const Json goldens = golden_json("chat_cases.json");
  const auto globals = goldens.find("template_globals")->as_object();
  ASSERT_EQ(goldens.find("cases")->as_array().size(), 12u);
  for (const Json& c : goldens.find("cases")->as_array()) {
    const auto chat = compiled(golden_text(string_of(c, "template") + ".jinja"), globals);
    const auto text =
        chat.render(*c.find("messages"), or_null(c.find("tools")), or_null(c.find("variables")));
    ASSERT_TRUE(text.ok()) << text.status().message;
    EXPECT_EQ(*text, string_of(c, "rendered"));
  }
}

TEST(ChatTemplate, AgreesWithPythonsJinja) {
  const Json goldens = golden_json("jinja_cases.json");
  for (const Json& c : goldens.find("cases")->as_array()) {
    const Json variables = Json::Object{{"data", *goldens.find("data")}};
    const auto text =
        compiled(string_of(c, "template")).render(*goldens.find("messages"), kNothing, variables);
    ASSERT_TRUE(text.ok()) << string_of(c, "template");
    EXPECT_EQ(*text, string_of(c, "rendered")) << string_of(c, "template");
  }
}

TEST(ChatTemplate, ItsOwnRefusalReachesTheCaller) {
  const auto chat =
      compiled("{{ raise_exception('roles must alternate, not ' + messages[0].role) }}");
  const auto text = chat.render(one_message("a"), kNothing, kNothing);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.status().code, Code::kInvalid);
  EXPECT_EQ(text.status().message, "roles must alternate, not user");
  EXPECT_EQ(text.status().param, "messages");
}

TEST(ChatTemplate, AFailureSaysNothingOfTheTemplate) {
  const auto text = compiled("{{ secret_name.x.y }}").render(one_message("a"), kNothing, kNothing);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.status().code, Code::kInvalid);
  EXPECT_THAT(text.status().message, Not(HasSubstr("secret")));
}

TEST(ChatTemplate, EndlessTemplatesAreStopped) {
  const char* templates[] = {
      "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
      "{% for a in range(9000) %}{{ 'x' * 99999 }}{% endfor %}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{{ range(100000000) | join }}",
      "{{ 'x' * 1000000000 }}",
  };
  for (const char* text : templates)
    EXPECT_FALSE(compiled(text).render(one_message("a"), kNothing, kNothing).ok()) << text;
}

TEST(ChatTemplate, ASyntaxErrorNamesItsLine) {
  const auto chat = ChatTemplate::compile({"a\n{% if %}", ""}, {});
  ASSERT_FALSE(chat.ok());
  EXPECT_THAT(chat.status().message, HasSubstr("chat_template:2"));
}

TEST(ChatTemplate, AVariableCannotHideWhatIsGiven) {
  const auto chat = compiled("{{ bos_token }}{{ x }}", {{"bos_token", "<s>"}});
  EXPECT_EQ(*chat.render(one_message("a"), kNothing, Json(Json::Object{{"x", 3}})), "<s>3");
  for (const char* name : {"bos_token", "messages", "tools"}) {
    const auto text = chat.render(one_message("a"), kNothing, Json(Json::Object{{name, "y"}}));
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.status().param, name);
  }
}

TEST(ChatTemplate, RequestsWithToolsMayHaveATemplateOfTheirOwn) {
  const auto chat = ChatTemplate::compile({"plain", "tools"}, {}).value();
  EXPECT_EQ(*chat.render(one_message("a"), kNothing, kNothing), "plain");
  EXPECT_EQ(*chat.render(one_message("a"), Json(Json::Array{}), kNothing), "plain");
  EXPECT_EQ(*chat.render(one_message("a"), Json(Json::Array{Json("t")}), kNothing), "tools");
}

TEST(ChatTemplate, KnowsTheTimeAndTheTrainingTags) {
  const auto chat =
      compiled("{% generation %}a{% endgeneration %}{{ strftime_now('%Y') | length }}");
  EXPECT_EQ(*chat.render(one_message("a"), kNothing, kNothing), "a4");
}

class ChatTemplateFiles : public ::testing::Test {
 protected:
  void write(const char* name, const std::string& text) { temp_folder_.write(name, text); }

  const TempFolder temp_folder_;
  const std::filesystem::path& folder_ = temp_folder_.path();
};

TEST_F(ChatTemplateFiles, NoneIsNotFound) {
  write("tokenizer_config.json", R"({"eos_token": "</s>", "chat_template": null})");
  EXPECT_EQ(ChatTemplateSource::load(folder_).status().code, Code::kNotFound);
  EXPECT_EQ(ChatTemplate::load(folder_).status().code, Code::kNotFound);
}

TEST_F(ChatTemplateFiles, TheJinjaFileComesBeforeTheConfiguration) {
  write("tokenizer_config.json", R"({"eos_token": "</s>", "chat_template": "B{{ eos_token }}"})");
  EXPECT_EQ(*ChatTemplate::load(folder_)->render(one_message("a"), kNothing, kNothing), "B</s>");
  write("chat_template.json", R"({"chat_template": "C"})");
  EXPECT_EQ(ChatTemplateSource::load(folder_)->text, "C");
  write("chat_template.jinja", "A{{ eos_token }}");
  EXPECT_EQ(*ChatTemplate::load(folder_)->render(one_message("a"), kNothing, kNothing), "A</s>");
}

TEST_F(ChatTemplateFiles, AListNamesItsTemplates) {
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "D"},
                                                       {"name": "tool_use", "template": "T"}]})");
  const auto source = ChatTemplateSource::load(folder_).value();
  EXPECT_EQ(source.text, "D");
  EXPECT_EQ(source.with_tools, "T");
}

TEST_F(ChatTemplateFiles, RefusesWhatIsNoTemplate) {
  for (const char* value : {"3", "[3]", R"([{"name": "x"}])", R"([{"name":"x","template":"y"}])"}) {
    write("tokenizer_config.json", R"({"chat_template": )" + std::string(value) + "}");
    const auto source = ChatTemplateSource::load(folder_);
    ASSERT_FALSE(source.ok()) << value;
    EXPECT_THAT(source.status().message, HasSubstr("tokenizer_config.json: chat_template"));
  }
}

}  // namespace
}  // namespace erne::text
