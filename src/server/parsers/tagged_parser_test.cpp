#include "server/parsers/tagged_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/counter_rng.h"
#include "base/json.h"

namespace erne::server {
namespace {

constexpr TagStyle kVl{.thoughts = true}, kX1{true, true, true}, kCalls{.calls = true},
    kVlThinking{.thoughts = true, .calls = true};

TaggedParser parser(TagStyle style, bool thinking) {
  return {style, thinking, [n = 0]() mutable { return "call-" + std::to_string(n++); }};
}

Delta all_at_once(TagStyle style, bool thinking, std::string_view text) {
  TaggedParser p = parser(style, thinking);
  Delta all = p.push(text);
  all.append(p.finish());
  return all;
}

std::string shown(const Delta& delta) {
  std::string out = "thought[" + delta.reasoning + "] said[" + delta.content + "]";
  for (const ToolCallDelta& call : delta.tool_calls)
    out += fmt::format(" {} {} {}({})", call.index, call.id, call.name, call.arguments);
  return out;
}

struct Case {
  const char* what;
  TagStyle style;
  bool thinking;
  const char* text;
  const char* expected;
};

#define CALL(name, arguments) \
  "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " arguments "}\n</tool_call>"

constexpr Case kCases[] = {
    // FastDeploy's own cases for its three reasoning parsers.
    {"no end", kVl, true, "a", "thought[a] said[]"},
    {"end", kVl, true, "reasoning</think>\nactual response",
     "thought[reasoning] said[\nactual response]"},
    {"only the end", kVl, true, "</think>xyz", "thought[] said[xyz]"},
    {"a second end", kVl, true, "a</think>b</think>", "thought[a] said[b</think>]"},
    {"already thought", kVl, false, "answer", "thought[] said[answer]"},
    {"the beginning repeated", kVl, true, "\n<think>a</think>b", "thought[a] said[b]"},
    {"nearly a beginning", kVl, true, " <thi", "thought[ <thi] said[]"},
    {"blank answer", kVlThinking, true, "a</think>\n\n", "thought[a] said[]"},
    {"leading newlines", kVlThinking, true, "</think>\n\ncd", "thought[] said[\n\ncd]"},
    {"answer, then call", kVlThinking, true, "t</think>\nABC\n" CALL("f", "{}"),
     "thought[t] said[\nABC\n"
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>]"},
    {"call in a thought", kVlThinking, true, CALL("f", "{}"),
     "thought["
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"
     "] said[]"},
    {"spaces kept", kVlThinking, true, "t</think>\n\n  actual", "thought[t] said[\n\n  actual]"},
    {"response", kX1, true, "abc\n</think>\n<response>line1\nline2\n</response>",
     "thought[abc\n] said[line1\nline2\n]"},
    {"open response", kX1, true, "a</think>\n\n<response>\nb", "thought[a] said[\nb]"},
    {"beside the response", kX1, true, "a</think>b", "thought[a] said[b]"},
    {"behind the response", kX1, true, "a</think><response>b</response>\nc</response>\n",
     "thought[a] said[b\nc</response>\n]"},
    {"call behind the response", kX1, true, "a</think><response>b</response>" CALL("f", "{}"),
     "thought[a] said[b"
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>]"},
    // Calls.
    {"one", kX1, true, "a</think>\n\n" CALL("f", R"({"x": "北京", "y": [1, {"z": null}]})") "\n",
     R"(thought[a] said[] 0 call-0 f({"x": "北京", "y": [1, {"z": null}]}))"},
    {"two", kCalls, false, CALL("f", "{}") "\n" CALL("g", "{\"a\": 1}"),
     "thought[] said[] 0 call-0 f({}) 1 call-1 g({\"a\": 1})"},
    {"order of members", kCalls, false,
     R"(<tool_call>{"arguments": {"b":2}, "extra": [1], "name": "f"}</tool_call>)",
     R"(thought[] said[] 0 call-0 f({"b":2}))"},
    {"no arguments", kCalls, false, R"(<tool_call>{"name": "f"}</tool_call>)",
     "thought[] said[] 0 call-0 f({})"},
    {"null arguments", kCalls, false, R"(<tool_call>{"name": "f", "arguments": null}</tool_call>)",
     "thought[] said[] 0 call-0 f({})"},
    {"arguments as a string", kCalls, false,
     R"(<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>)",
     R"(thought[] said[] 0 call-0 f({"a": 1}))"},
    {"without braces", kCalls, false, R"(<tool_call>"name": "f", "arguments": {"a":1}</tool_call>)",
     R"(thought[] said[] 0 call-0 f({"a":1}))"},
    {"the tag in a string", kCalls, false,
     R"(<tool_call>{"name": "f", "arguments": {"a": "</tool_call>\""}}</tool_call>)",
     R"(thought[] said[] 0 call-0 f({"a": "</tool_call>\""}))"},
    {"not closed", kCalls, false, R"(<tool_call>{"name": "f", "arguments": {"a":1}}</tool)",
     R"(thought[] said[] 0 call-0 f({"a":1}))"},
    {"cut", kCalls, false, R"(<tool_call>{"name": "f", "arguments": {"a": "b)",
     R"(thought[] said[] 0 call-0 f({"a": "b))"},
    {"cut before the arguments", kCalls, false, R"(<tool_call>{"name": "f", "argum)",
     R"(thought[] said[<tool_call>{"name": "f", "argum])"},
    {"text behind a call", kCalls, false, CALL("f", "{}") "\nDone.",
     "thought[] said[\nDone.] 0 call-0 f({})"},
    // What is no call comes out whole.
    {"not JSON", kCalls, false, "<tool_call>f(x)</tool_call>!",
     "thought[] said[<tool_call>f(x)</tool_call>!]"},
    {"no name", kCalls, false, R"(<tool_call>{"arguments": {}}</tool_call>)",
     R"(thought[] said[<tool_call>{"arguments": {}}</tool_call>])"},
    {"a list", kCalls, false, R"(<tool_call>{"name": "f", "arguments": [1]}</tool_call>)",
     R"(thought[] said[<tool_call>{"name": "f", "arguments": [1]}</tool_call>])"},
    {"two names", kCalls, false, R"(<tool_call>{"name": "f", "name": "g"}</tool_call>)",
     R"(thought[] said[<tool_call>{"name": "f", "name": "g"}</tool_call>])"},
    {"wrong in the arguments", kCalls, false,
     R"(<tool_call>{"name": "f", "arguments": {"a": 1, b}}</tool_call>)",
     R"(thought[] said[b}}</tool_call>] 0 call-0 f({"a": 1, ))"},
    {"calls not asked for", kVl, false, CALL("f", "{}"),
     "thought[] said["
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>]"},
};

TEST(TaggedParser, TellsThoughtsAnswersAndCallsApart) {
  for (const Case& c : kCases)
    EXPECT_EQ(shown(all_at_once(c.style, c.thinking, c.text)), c.expected) << c.what;
}

// Pieces that texts are made of, which meet in every way.
constexpr const char* kPieces[] = {"</think>",
                                   "<think>",
                                   "<response>",
                                   "</response>",
                                   "<tool_call>",
                                   "</tool_call>",
                                   "\n",
                                   " ",
                                   "{\"name\": \"f\", \"arguments\": {\"a\": \"<\"}}",
                                   "{\"name\":\"g\",\"arguments\":",
                                   "{}",
                                   "}",
                                   "word",
                                   "<",
                                   "</",
                                   "\"",
                                   "\\",
                                   "é",
                                   "{\"arguments\": {\"x\": [1, 2.5e3]}, \"name\": \"h\"}",
                                   CALL("f", "{\"a\": [\"</tool_call>\", 1]}"),
                                   CALL("g", "{}") "\n",
                                   "<tool_call>{\"name\": \"f\", "};

TEST(TaggedParser, EveryCuttingGivesTheSame) {
  const CounterRng rng(7, 0);
  uint64_t draws = 0;
  const auto below = [&](uint32_t n) { return rng.words(draws++)[0] % n; };
  int num_calls = 0;
  for (int i = 0; i < 20000; ++i) {
    const TagStyle style{below(2) == 0, below(2) == 0, below(2) == 0};
    const bool thinking = below(2) == 0;
    std::string text = below(2) == 0 ? CALL("f", "{}") : "";
    for (uint32_t n = below(12); n > 0; --n) text += kPieces[below(std::size(kPieces))];
    const Delta whole = all_at_once(style, thinking, text);
    num_calls += static_cast<int>(whole.tool_calls.size());
    for (int cutting = 0; cutting < 5; ++cutting) {
      TaggedParser p = parser(style, thinking);
      Delta all;
      for (size_t begin = 0; begin < text.size();) {
        const size_t size = 1 + below(cutting == 0 ? 1 : 7);
        all.append(p.push(std::string_view(text).substr(begin, size)));
        begin += size;
      }
      all.append(p.finish());
      ASSERT_EQ(shown(all), shown(whole)) << text;
    }
  }
  EXPECT_GT(num_calls, 1000);
}

// A call that was told and whose text went to its end is JSON, and nothing of a text is lost but
// space, tags and what stands around a call's members.
TEST(TaggedParser, AWholeCallIsJson) {
  for (const Case& c : kCases) {
    const Delta all = all_at_once(c.style, c.thinking, c.text);
    if (!all.content.empty() || std::string_view(c.what) == "cut") continue;
    for (const ToolCallDelta& call : all.tool_calls)
      EXPECT_TRUE(Json::parse(call.arguments).ok()) << c.what;
  }
}

TEST(TaggedParser, ArgumentsComeAsTheyAreWritten) {
  TaggedParser p = parser(kCalls, false);
  EXPECT_TRUE(p.push(R"(<tool_call>{"name": "f")").empty());
  const Delta first = p.push(R"(, "arguments": {"a)");
  ASSERT_EQ(first.tool_calls.size(), 1u);
  EXPECT_EQ(first.tool_calls[0].name, "f");
  EXPECT_EQ(first.tool_calls[0].arguments, "{\"a");
  const Delta second = p.push("\": 1");
  ASSERT_EQ(second.tool_calls.size(), 1u);
  EXPECT_EQ(second.tool_calls[0].name, "");
  EXPECT_EQ(second.tool_calls[0].arguments, "\": 1");
}

}  // namespace
}  // namespace erne::server
