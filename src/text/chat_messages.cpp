#include "text/chat_messages.h"

#include <fmt/format.h>

#include "base/json_text.h"

namespace erne::text {
namespace {

Status wrong(const std::string& name, const char* allowed, const Json& found) {
  return invalid(fmt::format("{} must be {}, found {}", name, allowed, brief(found)), name);
}

const std::string* string_member(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  return member != nullptr && member->is_string() ? &member->as_string() : nullptr;
}

Result<void> check_part(const Json& part, const std::string& name) {
  const std::string* type = string_member(part, "type");
  if (type == nullptr) return wrong(name, "an object with a \"type\"", part);
  if (*type == "text" && string_member(part, "text") == nullptr)
    return wrong(name, "an object with a string \"text\"", part);
  return {};
}

Result<void> check_content(const Json& content, const std::string& name) {
  if (content.is_null() || content.is_string()) return {};
  if (!content.is_array()) return wrong(name, "a string or a list of parts", content);
  for (size_t i = 0; i < content.as_array().size(); ++i)
    TRY(check_part(content.as_array()[i], fmt::format("{}[{}]", name, i)));
  return {};
}

Result<void> check_call(const Json& call, const std::string& name) {
  const Json* function = call.is_object() ? call.find("function") : nullptr;
  if (function == nullptr || string_member(*function, "name") == nullptr)
    return wrong(name, R"({"function": {"name": ..., "arguments": ...}})", call);
  const Json* arguments = function->find("arguments");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object())
    return wrong(name + ".function.arguments", "a string or an object", *arguments);
  return {};
}

Result<void> check_calls(const Json& calls, const std::string& name) {
  if (calls.is_null()) return {};
  if (!calls.is_array()) return wrong(name, "a list of calls", calls);
  for (size_t i = 0; i < calls.as_array().size(); ++i)
    TRY(check_call(calls.as_array()[i], fmt::format("{}[{}]", name, i)));
  return {};
}

}  // namespace

Result<void> check_messages(const Json& messages) {
  if (!messages.is_array()) return wrong("messages", "a list of messages", messages);
  for (size_t i = 0; i < messages.as_array().size(); ++i) {
    const Json& message = messages.as_array()[i];
    const std::string name = fmt::format("messages[{}]", i);
    if (string_member(message, "role") == nullptr)
      return wrong(name, "an object with a \"role\" and a \"content\"", message);
    if (const Json* content = message.find("content"))
      TRY(check_content(*content, name + ".content"));
    if (const Json* calls = message.find("tool_calls"))
      TRY(check_calls(*calls, name + ".tool_calls"));
  }
  return {};
}

}  // namespace erne::text
