// The fields about tools and thoughts.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/request_fixture.h"

namespace erne::server {
namespace {

std::string refused(const std::string& fields) {
  const auto r = chat("," + fields);
  return r.ok() ? "taken" : r.status().param;
}

TEST(ChatFields, ToolsAreCheckedToTheirNames) {
  const std::string tool = R"({"type":"function","function":{"name":"f","parameters":{}}})";
  const auto r = chat(R"(,"tools":[)" + tool + R"(],"tool_choice":"auto")").value();
  EXPECT_EQ(r.tools.dump(), "[" + tool + "]");
  EXPECT_TRUE(chat(R"(,"tools":[])").value().tools.is_null());
  EXPECT_EQ(refused(R"("tools":{})"), "tools");
  EXPECT_EQ(refused(R"("tools":[1])"), "tools[0]");
  EXPECT_EQ(refused(R"("tools":[{"type":"web_search"}])"), "tools[0].type");
  EXPECT_EQ(refused(R"("tools":[{"type":"function"}])"), "tools[0].function");
  for (const char* name : {R"({})", R"({"name":""})", R"({"name":"a b"})", R"({"name":1})"})
    EXPECT_EQ(refused(fmt::format(R"("tools":[{{"type":"function","function":{}}}])", name)),
              "tools[0].function.name");
  for (const char* member : {"description", "parameters", "strict"})
    EXPECT_EQ(refused(fmt::format(
                  R"("tools":[{{"type":"function","function":{{"name":"f","{}":1}}}}])", member)),
              fmt::format("tools[0].function.{}", member));
  EXPECT_EQ(refused(R"("tools":[)" + tool + "," + tool + "]"), "tools[1]");
  EXPECT_EQ(refused(R"("tool_choice":"some")"), "tool_choice");
  EXPECT_EQ(refused(R"("tools":[)" + tool +
                    R"(],"tool_choice":{"type":"function","function":{"name":"g"}})"),
            "tool_choice");
}

TEST(ChatFields, ThinkingIsOneQuestionUnderManyNames) {
  for (const char* on :
       {R"("enable_thinking":true)", R"("thinking":{"type":"enabled"})", R"("thinking":true)",
        R"("reasoning_effort":"high")", R"("chat_template_kwargs":{"enable_thinking":true})"}) {
    const auto r = chat("," + std::string(on)).value();
    EXPECT_EQ(r.thinking, true) << on;
    EXPECT_EQ(*r.template_variables.find("enable_thinking"), Json(true)) << on;
    EXPECT_EQ(r.template_variables.find("options")->dump(), R"({"thinking_mode":"open"})");
  }
  EXPECT_EQ(chat(R"(,"reasoning_effort":"none")").value().thinking, false);
  const auto untold = chat(R"(,"reasoning_effort":"medium")").value();
  EXPECT_EQ(untold.thinking, std::nullopt);
  EXPECT_EQ(untold.template_variables.find("enable_thinking"), nullptr);
  EXPECT_EQ(refused(R"("enable_thinking":true,"thinking":{"type":"disabled"})"), "thinking");
  EXPECT_EQ(refused(R"("thinking":{"type":"disabled","budget_tokens":5})"), "thinking");
  EXPECT_EQ(refused(R"("reasoning_effort":"utmost")"), "reasoning_effort");
}

TEST(ChatFields, TheLeastOfAThoughtsLimitsHolds) {
  EXPECT_EQ(chat("").value().max_thought, std::nullopt);
  EXPECT_EQ(chat(R"(,"thinking":{"type":"enabled","budget_tokens":5})").value().max_thought, 5);
  EXPECT_EQ(chat(R"(,"reasoning_effort":"low")").value().max_thought, 1024);
  const auto r =
      chat(R"(,"reasoning_effort":"minimal","reasoning_max_tokens":9,)"
           R"("logits_processors_args":{"thinking_budget":30,"think_stop_sentence":"So."})")
          .value();
  EXPECT_EQ(r.max_thought, 9);
  EXPECT_EQ(r.thought_closing, "So.");
  EXPECT_EQ(refused(R"("reasoning_max_tokens":0)"), "reasoning_max_tokens");
  EXPECT_EQ(refused(R"("logits_processors_args":{"logit_bias":{}})"), "logits_processors_args");
}

TEST(ChatFields, CallsThatAreOwedBindTheAnswer) {
  const std::string tools =
      R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},)"
      R"({"type":"function","function":{"name":"g"}}])";
  const auto tag = [&](const std::string& more) {
    const auto r = chat("," + tools + more).value();
    return std::get<grammar::StructuralTag>(r.answer_format.value().what);
  };
  EXPECT_FALSE(chat("," + tools).value().answer_format);
  EXPECT_FALSE(chat("," + tools + R"(,"tool_choice":"none")").value().answer_format);
  const auto required = tag(R"(,"tool_choice":"required")");
  EXPECT_EQ(required.structures.size(), 2u);
  EXPECT_TRUE(required.at_least_one && !required.free_text && !required.at_most_one);
  EXPECT_EQ(required.structures[0].begin, "<tool_call>\n{\"name\": \"f\", \"arguments\": ");
  EXPECT_EQ(required.structures[1].schema.dump(), R"({"type":"object"})");
  EXPECT_TRUE(tag(R"(,"tool_choice":"required","parallel_tool_calls":false)").at_most_one);
  const auto named = tag(R"(,"tool_choice":{"type":"function","function":{"name":"g"}})");
  EXPECT_EQ(named.structures.size(), 1u);
  EXPECT_TRUE(named.at_most_one);
  const auto strict =
      chat(R"(,"tools":[{"type":"function","function":{"name":"f","strict":true}}])").value();
  EXPECT_TRUE(std::get<grammar::StructuralTag>(strict.answer_format.value().what).free_text);
  EXPECT_EQ(refused(tools + R"(,"response_format":{"type":"json_object"})"), "response_format");
}

TEST(ChatFields, CallsOfEarlierTurnsHaveAName) {
  const auto with = [](const std::string& calls) {
    return parse_text(Endpoint::kChat,
                      R"({"messages":[{"role":"assistant","tool_calls":)" + calls + "}]}", {},
                      kLimits);
  };
  for (const char* calls : {R"([{"function":{"name":"f","arguments":"{}"}}])",
                            R"([{"function":{"name":"f","arguments":{}}}])"})
    EXPECT_TRUE(with(calls).ok()) << calls;
  for (const char* calls : {"1", "[1]", R"([{"id":"1"}])", R"([{"function":{}}])",
                            R"([{"function":{"name":"f","arguments":1}}])"})
    EXPECT_FALSE(with(calls).ok()) << calls;
}

}  // namespace
}  // namespace erne::server
