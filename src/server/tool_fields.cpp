// The fields about tools that the model may call.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "server/fields.h"

namespace erne::server {
namespace {

constexpr size_t kMaxTools = 512;
constexpr size_t kMaxToolValues = 65536;  // of JSON in all tools
constexpr size_t kMaxToolNameBytes = 128;

Result<std::string> tool_name(const Arg& arg) {
  const std::string name = TRY(string(arg, kMaxToolNameBytes));
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (name.empty() || !plain) return arg.wrong("a name of letters, digits, '_', '-' and '.'");
  return name;
}

// {"type": "function", "function": {...}}: the function.
Result<Arg> function_of(const Arg& arg) {
  if (!arg.value.is_object()) return arg.wrong(R"({"type": "function", "function": {...}})");
  const Arg type = member(arg, "type"), function = member(arg, "function");
  if (!(type.value == Json("function"))) return type.wrong("\"function\"");
  if (!function.value.is_object()) return function.wrong("an object");
  return function;
}

// Its name, once all of it was looked at.
Result<std::string> check_tool(const Arg& arg) {
  const Arg function = TRY(function_of(arg));
  const Arg description = member(function, "description");
  if (!description.value.is_null() && !description.value.is_string())
    return description.wrong("a string");
  const Arg parameters = member(function, "parameters");
  if (!parameters.value.is_null() && !parameters.value.is_object())
    return parameters.wrong("a JSON schema, which is an object");
  const Arg strict = member(function, "strict");
  if (!strict.value.is_null()) TRY(boolean(strict));
  return tool_name(member(function, "name"));
}

Result<void> read_tools(const Arg& arg, GenerationRequest& r) {
  TRY(list_of_at_most(arg, kMaxTools, "tools"));
  if (const size_t num_values = arg.value.num_values(); num_values > kMaxToolValues)
    return invalid(
        fmt::format("tools must hold at most {} JSON values, found {}", kMaxToolValues, num_values),
        arg.name);
  std::set<std::string> names;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) {
    const std::string name = TRY(check_tool(arg.item(i)));
    if (!names.insert(name).second)
      return invalid(fmt::format("two tools have the name {}", name), arg.item(i).name);
  }
  if (!names.empty()) r.tools = arg.value;
  return {};
}

bool has_tool(const GenerationRequest& r, std::string_view name) {
  if (!r.tools.is_array()) return false;
  const Json::Array& tools = r.tools.as_array();
  return std::any_of(tools.begin(), tools.end(), [&](const Json& tool) {
    return tool.find("function")->find("name")->as_string() == name;
  });
}

// Its row comes after that of tools.
Result<void> read_tool_choice(const Arg& arg, GenerationRequest& r) {
  if (arg.value == Json("none")) {
    r.tool_choice = ToolChoice::kNone;
  } else if (arg.value == Json("auto")) {
    r.tool_choice = ToolChoice::kAuto;
  } else if (arg.value == Json("required")) {
    r.tool_choice = ToolChoice::kRequired;
  } else if (arg.value.is_object()) {
    const Arg function = TRY(function_of(arg));
    r.named_tool = TRY(tool_name(member(function, "name")));
    r.tool_choice = ToolChoice::kNamed;
    if (!has_tool(r, r.named_tool))
      return invalid(fmt::format("{} is none of tools", r.named_tool), arg.name);
  } else {
    return arg.wrong(
        R"("none", "auto", "required" or {"type": "function", "function": {"name": ...}})");
  }
  if (r.tool_choice == ToolChoice::kRequired && r.tools.is_null())
    return invalid("tool_choice \"required\" needs tools", arg.name);
  return {};
}

Result<void> read_parallel_tool_calls(const Arg& arg, GenerationRequest& r) {
  r.parallel_tool_calls = TRY(boolean(arg));
  return {};
}

constexpr Field kToolFields[] = {
    {"tools", kChatOnly, read_tools},
    {"tool_choice", kChatOnly, read_tool_choice},
    {"parallel_tool_calls", kChatOnly, read_parallel_tool_calls},
};

}  // namespace

std::span<const Field> tool_fields() {
  return kToolFields;
}

}  // namespace erne::server
