// The fields about whether a model thinks before it answers, in the words of FastDeploy, OpenAI,
// DeepSeek and Anthropic.
#include <fmt/format.h>

#include <algorithm>

#include "server/fields.h"

namespace erne::server {
namespace {

Result<void> set_thinking(const Arg& arg, bool thinking, GenerationRequest& r) {
  if (r.thinking && *r.thinking != thinking)
    return invalid(fmt::format("{} says that the model is {}to think, another field says otherwise",
                               arg.name, thinking ? "" : "not "),
                   arg.name);
  r.thinking = thinking;
  r.thinking_field = arg.name;
  return {};
}

Result<void> read_enable_thinking(const Arg& arg, GenerationRequest& r) {
  return set_thinking(arg, TRY(boolean(arg)), r);
}

// The least of all that are given.
Result<void> limit_thought(const Arg& arg, GenerationRequest& r) {
  const int most = TRY(count_up_to(arg, INT32_MAX));
  if (most < 1) return arg.wrong("a whole number from 1");
  r.max_thought = std::min(most, r.max_thought.value_or(most));
  return {};
}

// {"type": "enabled", "budget_tokens": ...} or {"type": "disabled"}, or a boolean.
Result<void> read_thinking(const Arg& arg, GenerationRequest& r) {
  if (arg.value.is_bool()) return set_thinking(arg, arg.value.as_bool(), r);
  const Json* type = arg.value.is_object() ? arg.value.find("type") : nullptr;
  const bool on = type != nullptr && *type == Json("enabled");
  if (!on && (type == nullptr || !(*type == Json("disabled"))))
    return arg.wrong(R"(a boolean, {"type": "enabled"} or {"type": "disabled"})");
  for (const auto& [name, value] : arg.value.as_object()) {
    const Arg member{fmt::format("{}.{}", arg.name, name.substr(0, 40)), value, arg.limits};
    if (name == "budget_tokens" && on)
      TRY(limit_thought(member, r));
    else if (name != "type")
      return unsupported(fmt::format("{} is not built yet", member.name), arg.name);
  }
  return set_thinking(arg, on, r);
}

// "medium" is what OpenAI's models do anyway; "none" asks for no thoughts at all.
Result<void> read_reasoning_effort(const Arg& arg, GenerationRequest& r) {
  constexpr int kMinimal = 256, kLow = 1024;  // tokens
  if (arg.value == Json("medium")) return {};
  if (arg.value == Json("none")) return set_thinking(arg, false, r);
  if (arg.value == Json("high")) return set_thinking(arg, true, r);
  const bool is_minimal = arg.value == Json("minimal");
  if (!is_minimal && !(arg.value == Json("low")))
    return arg.wrong("\"none\", \"minimal\", \"low\", \"medium\" or \"high\"");
  const int most = is_minimal ? kMinimal : kLow;
  r.max_thought = std::min(most, r.max_thought.value_or(most));
  return set_thinking(arg, true, r);
}

// FastDeploy's ThinkingBudgetLogitsProcessor.
Result<void> read_logits_processors(const Arg& arg, GenerationRequest& r) {
  constexpr size_t kMaxSentenceBytes = 1024;
  if (!arg.value.is_object()) return arg.wrong("an object");
  for (const auto& [name, value] : arg.value.as_object()) {
    const Arg member{fmt::format("{}.{}", arg.name, name.substr(0, 40)), value, arg.limits};
    if (name == "thinking_budget")
      TRY(limit_thought(member, r));
    else if (name == "think_stop_sentence")
      r.thought_closing = TRY(string(member, kMaxSentenceBytes));
    else
      return unsupported(fmt::format("{} is not built", member.name), arg.name);
  }
  return {};
}

constexpr Field kThinkingFields[] = {
    {"enable_thinking", kChatOnly, read_enable_thinking},
    {"thinking", kChatOnly, read_thinking},
    {"reasoning_effort", kChatOnly, read_reasoning_effort},
    {"reasoning_max_tokens", kChatOnly, limit_thought},
    {"logits_processors_args", kChatOnly, read_logits_processors},
};

}  // namespace

std::span<const Field> thinking_fields() {
  return kThinkingFields;
}

}  // namespace erne::server
