#include "server/parsers/tag_style.h"

#include <fmt/format.h>

#include <algorithm>

namespace erne::server {
namespace {

constexpr std::string_view kAuto = "auto", kNone = "none";

struct ParserRow {
  std::string_view name;
  TagStyle style;
};

// FastDeploy's names.
constexpr ParserRow kReasoningParsers[] = {
    {"ernie-45-vl", {.thoughts = true}},
    {"ernie-45-vl-thinking", {.thoughts = true}},
    {"ernie-x1", {.thoughts = true, .response = true}},
};
constexpr ParserRow kToolCallParsers[] = {
    {"ernie-45-vl-thinking", {.calls = true}},
    {"ernie-x1", {.calls = true}},
};

std::string names(std::span<const ParserRow> rows) {
  std::string names = fmt::format("{}, {}", kAuto, kNone);
  for (const ParserRow& row : rows) names += fmt::format(", {}", row.name);
  return names;
}

Result<TagStyle> style_of(std::string_view flag, std::string_view asked,
                          std::span<const ParserRow> rows, const TagStyle& automatic) {
  std::string name(asked);
  std::replace(name.begin(), name.end(), '_', '-');
  if (name == kAuto) return automatic;
  if (name == kNone) return TagStyle{};
  for (const ParserRow& row : rows)
    if (row.name == name) return row.style;
  return invalid(fmt::format("{} must be one of {}; found {}", flag, names(rows), asked));
}

}  // namespace

Result<TagStyle> tag_style(std::string_view reasoning_parser, std::string_view tool_call_parser,
                           std::string_view chat_template) {
  const auto has = [&](std::string_view tag) {
    return chat_template.find(tag) != std::string_view::npos;
  };
  TagStyle style =
      TRY(style_of("--reasoning-parser", reasoning_parser, kReasoningParsers,
                   {.thoughts = has(kThinkEnd) || has(kThink), .response = has(kResponse)}));
  style.calls =
      TRY(style_of("--tool-call-parser", tool_call_parser, kToolCallParsers, {.calls = has(kCall)}))
          .calls;
  return style;
}

const char* reasoning_parser_help() {
  static const std::string help =
      fmt::format("how thoughts are told from answers: {}; auto: as the chat template writes them",
                  names(kReasoningParsers));
  return help.c_str();
}

const char* tool_call_parser_help() {
  static const std::string help = fmt::format(
      "how calls of tools are told from answers: {}; auto: as the chat template writes them",
      names(kToolCallParsers));
  return help.c_str();
}

bool begins_in_thought(std::span<const TokenId> prompt, const text::Tokenizer& tokenizer) {
  const std::optional<TokenId> begin = tokenizer.find(kThink), end = tokenizer.find(kThinkEnd);
  for (size_t i = prompt.size(); i-- > 0;) {
    if (begin && prompt[i] == *begin) return true;
    if (end && prompt[i] == *end) return false;
  }
  return true;
}

std::vector<TokenId> tag_tokens(const text::Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  for (const std::string_view tag : {kThink, kThinkEnd, kResponse, kResponseEnd, kCall, kCallEnd})
    if (const auto id = tokenizer.find(tag)) ids.push_back(*id);
  return ids;
}

}  // namespace erne::server
