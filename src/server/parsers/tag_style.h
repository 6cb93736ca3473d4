// Which tags a model writes, and so how its text is told apart: by the name of a FastDeploy parser,
// or as its chat template says, which writes the same tags for earlier turns.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/token_id.h"
#include "text/tokenizer.h"

namespace erne::server {

struct TagStyle {
  bool thoughts = false;  // a thought ends in </think>
  bool response = false;  // behind it an answer stands in <response>
  bool calls = false;     // calls of tools stand in <tool_call>, where no answer precedes them
  bool operator==(const TagStyle&) const = default;
};

inline constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
inline constexpr std::string_view kResponse = "<response>", kResponseEnd = "</response>";
inline constexpr std::string_view kCall = "<tool_call>", kCallEnd = "</tool_call>";

// "auto" (as the template says), "none", or a parser's name; - and _ are one.
Result<TagStyle> tag_style(std::string_view reasoning_parser, std::string_view tool_call_parser,
                           std::string_view chat_template);
// What --help says of the two flags.
const char* reasoning_parser_help();
const char* tool_call_parser_help();

// Whether the output begins in a thought: the last of <think> and </think> in the prompt says so,
// and where there is neither, a model that thinks begins with that.
bool begins_in_thought(std::span<const TokenId> prompt, const text::Tokenizer& tokenizer);

// The tags that are tokens of their own.
std::vector<TokenId> tag_tokens(const text::Tokenizer& tokenizer);

}  // namespace erne::server
