#include "text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "base/temp_folder_fixture.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json one_message(const char* content) {
  return Json::Array{Json(Json::Object{{"role", "user"}, {"content", content}})};
}

ChatTemplate compiled(const std::string& text, Json::Object globals = {}) {
  return ChatTemplate::compile({text, ""}, std::move(globals)).value();
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

// Each doubles something until memory ends, though its steps are few and its output is nothing.
TEST(ChatTemplate, AHungryTemplateIsStopped) {
  const char* templates[] = {
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s * 2 %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set t %}{{ n.s }}{{ n.s }}{% "
      "endset %}"
      "{% set n.s = t %}{% endfor %}",
      "{% macro f(s) %}{{ s }}{{ s }}{% endmacro %}{% set n = namespace(s='x') %}"
      "{% for i in range(60) %}{% set n.s = f(n.s) %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = [n.s, n.s] | join %}"
      "{% endfor %}",
      "{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s | replace('x', "
      "'xx') %}"
      "{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}"
      "{{ n.s | tojson }}",
      "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}"
      "{{ n.s | string | length }}",
      "{{ [[1]] | tojson(indent=2000000000) }}",
      "{{ ('x' * 99999999) | length }}",
      "{% set n = namespace(s=[]) %}{% for i in range(90000) %}{% for j in range(9) %}"
      "{% set n.s = n.s + ['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'] %}{% endfor %}{% endfor %}{{ n.s | "
      "list }}",
  };
  for (const char* text : templates) {
    const auto chat = ChatTemplate::compile({text, ""}, {});
    if (!chat.ok()) continue;  // constants are computed while it is compiled
    EXPECT_FALSE(chat->render(one_message("a"), kNothing, kNothing).ok()) << text;
  }
}

// Comparing shared lists takes neither steps nor memory; its thread cannot even be stopped.
TEST(ChatTemplate, TimeIsBounded) {
  const auto chat = compiled(
      "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}"
      "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}");
  const auto rendered = chat.render(one_message("a"), kNothing, kNothing);
  ASSERT_FALSE(rendered.ok());
  EXPECT_EQ(rendered.status().code, Code::kTooLong);
}

// Lists in lists: dropped, written and compared by recursion.
TEST(ChatTemplate, DeepValuesDoNotOverflowTheStack) {
  for (const char* use : {"", "{{ n.s }}", "{{ n.s | tojson }}", "{{ n.s == n.t }}"})
    (void)compiled(
        "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(90000) %}"
        "{% set n.s = [n.s] %}{% set n.t = [n.t] %}{% endfor %}" +
        std::string(use))
        .render(one_message("a"), kNothing, kNothing);
}

// Chains are parsed, compiled and dropped by recursion.
TEST(ChatTemplate, NoChainOverflowsTheStack) {
  constexpr size_t kBytes = 200'000;
  const std::vector<std::array<const char*, 3>> chains = {
      {"{{ ", "-", "1 }}"},
      {"{{ ", "not ", "1 }}"},
      {"{{ 1", "+1", " }}"},
      {"{{ 1", "~1", " }}"},
      {"{{ 1", " and 1", " }}"},
      {"{{ 1", "<1", " }}"},
      {"{{ x", "|string", " }}"},
      {"{{ x", ".a", " }}"},
      {"{{ x", "[0]", " }}"},
      {"{{ x", "()", " }}"},
      {"{{ 1", " is string", "}}"},
      {"{{ 1", " if 1 else 1", " }}"},
      {"{{ ", "(", "1 }}"},
      {"{{ ", "[", "1 }}"},
      {"{{ ", "{1:", "1 }}"},
      {"{{ ", "x(", "1 }}"},
      {"", "{% if 1 %}", ""},
      {"", "{% for i in x %}", ""},
      {"{% set ", "(", ""},
      {"{% filter e", "|e", "%}"},
      {"", "{{", ""},
      {"{% if 1 %}", "{% elif 1 %}", "{% endif %}"},
  };
  for (const auto& [open, link, close] : chains) {
    std::string text = open;
    while (text.size() < kBytes) text += link;
    const auto chat = ChatTemplate::compile({text + close, ""}, {});
    if (chat.ok()) (void)chat->render(one_message("a"), kNothing, kNothing);
  }
}

TEST(ChatTemplate, ALargeTemplateIsRefusedByItsSize) {
  const auto chat = ChatTemplate::compile({std::string(1 << 20, 'x'), ""}, {});
  ASSERT_FALSE(chat.ok());
  EXPECT_THAT(chat.status().message, HasSubstr("1048576 bytes; at most 262144"));
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

TEST_F(ChatTemplateFiles, AByteOrderMarkIsNoPartOfATemplate) {
  write("chat_template.jinja", "\xEF\xBB\xBF{{ messages[0].content }}");
  EXPECT_EQ(*ChatTemplate::load(folder_)->render(one_message("a"), kNothing, kNothing), "a");
  write("chat_template.jinja", std::string("\xFF\xFE{\0{\0", 6));
  EXPECT_THAT(ChatTemplate::load(folder_).status().message, HasSubstr("UTF-16"));
  write("chat_template.jinja", "\n");
  write("tokenizer_config.json", "\xEF\xBB\xBF{\"chat_template\": \"\\ufeffb\", \"x\": NaN}\n");
  EXPECT_EQ(*ChatTemplate::load(folder_)->render(one_message("a"), kNothing, kNothing), "b");
}

TEST_F(ChatTemplateFiles, AFolderIsNoTemplate) {
  std::filesystem::create_directory(folder_ / "chat_template.jinja");
  EXPECT_THAT(ChatTemplateSource::load(folder_).status().message, HasSubstr("expected a file"));
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
