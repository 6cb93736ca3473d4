// The fields about whether a model thinks before it answers, in the words of FastDeploy, OpenAI,
// DeepSeek and Anthropic.
#include <fmt/format.h>

#include "server/fields.h"

namespace erne::server {
namespace {

Result<void> set_thinking(const Arg& arg, bool thinking, GenerationRequest& r) {
  if (r.thinking && *r.thinking != thinking)
    return invalid(fmt::format("{} says that the model is {}to think, another field says otherwise",
                               arg.name, thinking ? "" : "not "),
                   arg.name);
  r.thinking = thinking;
  return {};
}

Result<void> read_enable_thinking(const Arg& arg, GenerationRequest& r) {
  return set_thinking(arg, TRY(boolean(arg)), r);
}

// {"type": "enabled"} or {"type": "disabled"}, or a boolean.
Result<void> read_thinking(const Arg& arg, GenerationRequest& r) {
  if (arg.value.is_bool()) return set_thinking(arg, arg.value.as_bool(), r);
  const Json* type = arg.value.is_object() ? arg.value.find("type") : nullptr;
  const bool on = type != nullptr && *type == Json("enabled");
  if (!on && (type == nullptr || !(*type == Json("disabled"))))
    return arg.wrong(R"(a boolean, {"type": "enabled"} or {"type": "disabled"})");
  for (const auto& [name, value] : arg.value.as_object())
    if (name != "type")
      return unsupported(fmt::format("{}.{} is not built yet", arg.name, name.substr(0, 40)),
                         arg.name);
  return set_thinking(arg, on, r);
}

// "medium" is what OpenAI's models do anyway; "none" asks for no thoughts at all.
Result<void> read_reasoning_effort(const Arg& arg, GenerationRequest& r) {
  if (arg.value == Json("medium")) return {};
  if (arg.value == Json("none")) return set_thinking(arg, false, r);
  if (arg.value == Json("high")) return set_thinking(arg, true, r);
  return arg.wrong("\"none\", \"medium\" or \"high\"");
}

constexpr Field kThinkingFields[] = {
    {"enable_thinking", kChatOnly, read_enable_thinking},
    {"thinking", kChatOnly, read_thinking},
    {"reasoning_effort", kChatOnly, read_reasoning_effort},
};

}  // namespace

std::span<const Field> thinking_fields() {
  return kThinkingFields;
}

}  // namespace erne::server
