#include "server/translation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_text.h"

namespace erne::server {
namespace {

constexpr size_t kMaxBlocks = 1024;
constexpr size_t kMaxTextBytes = size_t{64} << 20;
constexpr size_t kMaxTypeBytes = 64, kMaxLabelBytes = 1024, kMaxNameShown = 40;

}  // namespace

Result<Json> translate(const Json& body, std::span<const TranslationRow> rows,
                       std::initializer_list<std::string_view> required,
                       const RequestLimits& limits) {
  if (!body.is_object())
    return invalid(fmt::format("the body must be a JSON object, found {}", brief(body)));
  for (const auto& [name, value] : body.as_object()) {
    const bool known = std::ranges::find(rows, name, &TranslationRow::name) != rows.end();
    if (!known)
      return invalid(fmt::format("unknown field \"{}\": this endpoint does not have it, and "
                                 "nothing a client sends is ignored silently",
                                 name.substr(0, kMaxNameShown)),
                     name.substr(0, kMaxNameShown));
  }
  const Arg whole{"", body, limits};
  for (const std::string_view name : required)
    if (member(whole, name).value.is_null())
      return invalid(fmt::format("{} is required", name), std::string(name));
  Json chat = Json::Object();
  for (const TranslationRow& row : rows) {
    const Arg arg{std::string(row.name), member(whole, row.name).value, limits};
    if (!arg.value.is_null()) TRY(row.translate(arg, chat));
  }
  return chat;
}

Result<void> copy_field(const Arg& arg, Json& chat) {
  chat.set(arg.name, arg.value);
  return {};
}

Result<void> copy_max_tokens(const Arg& arg, Json& chat) {
  TRY(integer(arg, 1, INT64_MAX));
  chat.set("max_completion_tokens", arg.value);
  return {};
}

Result<void> ignore_object(const Arg& arg, Json&) {
  if (!arg.value.is_object()) return arg.wrong("an object");
  return {};
}

Result<void> ignore_text(const Arg& arg, Json&) {
  TRY(string(arg, kMaxLabelBytes));
  return {};
}

Result<std::string> text_member(const Arg& arg, std::string_view name) {
  return string(member(arg, name), kMaxTextBytes);
}

Result<std::string> type_of(const Arg& arg) {
  if (!arg.value.is_object()) return arg.wrong("an object with a \"type\"");
  return string(member(arg, "type"), kMaxTypeBytes);
}

Status unknown_type(const Arg& arg, std::string_view type, std::string_view allowed) {
  return unsupported(fmt::format("{} has the type \"{}\"; built are {}", arg.name, type, allowed),
                     arg.name);
}

Result<std::string> joined_text(const Arg& arg, std::initializer_list<std::string_view> types) {
  if (arg.value.is_null()) return std::string();
  if (arg.value.is_string()) return arg.value.as_string();
  TRY(list_of_at_most(arg, kMaxBlocks, "text blocks, or a string"));
  std::string text;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) {
    const Arg block = arg.item(i);
    const std::string type = TRY(type_of(block));
    if (std::find(types.begin(), types.end(), type) == types.end())
      return unknown_type(block, type, fmt::format("{}", fmt::join(types, ", ")));
    text += TRY(text_member(block, "text"));
  }
  return text;
}

}  // namespace erne::server
