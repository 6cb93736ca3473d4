#include "server/fields.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "base/json_text.h"

namespace erne::server {
namespace {

constexpr size_t kMaxShownBytes = 40;

constexpr std::span<const Field> (*kTables[])() = {
    prompt_fields, thinking_fields, tool_fields, sampling_fields, structured_output_fields,
    output_fields, bystander_fields};

const Field* find_field(std::string_view name, Endpoint endpoint) {
  for (const auto table : kTables)
    for (const Field& field : table())
      if (field.name == name && (field.endpoints & static_cast<unsigned>(endpoint)) != 0)
        return &field;
  return nullptr;
}

std::string short_name(const std::string& name) {
  return name.size() <= kMaxShownBytes ? name : name.substr(0, kMaxShownBytes) + "...";
}

}  // namespace

Status Arg::wrong(std::string_view allowed) const {
  return invalid(fmt::format("{} must be {}, found {}", name, allowed, brief(value)), name);
}

Arg Arg::item(size_t i) const {
  return {fmt::format("{}[{}]", name, i), value.as_array()[i], limits};
}

Arg member(const Arg& arg, std::string_view name) {
  static const Json kAbsent;
  const Json* value = arg.value.find(name);
  return {fmt::format("{}.{}", arg.name, name), value == nullptr ? kAbsent : *value, arg.limits};
}

Result<bool> boolean(const Arg& arg) {
  if (!arg.value.is_bool()) return arg.wrong("true or false");
  return arg.value.as_bool();
}

Result<int64_t> integer(const Arg& arg, int64_t min, int64_t max) {
  if (!arg.value.is_integer() || arg.value.as_int() < min || arg.value.as_int() > max)
    return arg.wrong(fmt::format("an integer from {} to {}", min, max));
  return arg.value.as_int();
}

Result<int> count_up_to(const Arg& arg, int most) {
  const double value = arg.value.is_number() ? arg.value.as_double() : -1;
  if (!(value >= 0 && value == std::floor(value))) return arg.wrong("an integer of at least 0");
  return value < most ? static_cast<int>(value) : most;
}

Result<double> number(const Arg& arg, double min, double max) {
  if (!arg.value.is_number() || !(arg.value.as_double() >= min && arg.value.as_double() <= max))
    return arg.wrong(fmt::format("a number from {} to {}", min, max));
  return arg.value.as_double();
}

Result<std::string> string(const Arg& arg, size_t max_bytes) {
  if (!arg.value.is_string() || arg.value.as_string().size() > max_bytes)
    return arg.wrong(fmt::format("a string of at most {} bytes", max_bytes));
  return arg.value.as_string();
}

Result<TokenId> token_id(const Arg& arg) {
  return static_cast<TokenId>(TRY(integer(arg, 0, arg.limits.vocab_size - 1)));
}

Result<std::vector<TokenId>> token_ids(const Arg& arg) {
  if (!arg.value.is_array()) return arg.wrong("a list of token ids");
  const Json::Array& items = arg.value.as_array();
  std::vector<TokenId> ids;
  ids.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const bool fits = items[i].is_integer() && items[i].as_int() >= 0 &&
                      items[i].as_int() < arg.limits.vocab_size;
    if (!fits) return token_id(arg.item(i)).status();  // there is one: token_id() asks the same
    ids.push_back(static_cast<TokenId>(items[i].as_int()));
  }
  return ids;
}

Result<std::vector<TokenId>> token_ids_at_most(const Arg& arg, size_t max_ids) {
  const size_t count = arg.value.is_array() ? arg.value.as_array().size() : 0;
  if (count > max_ids)
    return Status{Code::kTooLong,
                  fmt::format("{} has {} tokens, certainly more than fit: at most {} are read",
                              arg.name, count, max_ids),
                  arg.name};
  return token_ids(arg);
}

Result<void> list_of_at_most(const Arg& arg, size_t max_items, std::string_view of_what) {
  if (!arg.value.is_array() || arg.value.as_array().size() > max_items)
    return arg.wrong(fmt::format("a list of at most {} {}", max_items, of_what));
  return {};
}

Result<std::vector<std::string>> strings(const Arg& arg, size_t max_items, size_t max_bytes) {
  const auto one = [&](const Arg& item) -> Result<std::string> {
    if (item.value.is_string() && item.value.as_string().empty())
      return item.wrong("a string that is not empty");
    return string(item, max_bytes);
  };
  if (arg.value.is_string()) return std::vector<std::string>{TRY(one(arg))};
  TRY(list_of_at_most(arg, max_items, "strings"));
  std::vector<std::string> out;
  for (size_t i = 0; i < arg.value.as_array().size(); ++i) out.push_back(TRY(one(arg.item(i))));
  return out;
}

Result<void> read_fields(const Json& body, Endpoint endpoint, const RequestLimits& limits,
                         GenerationRequest& request) {
  if (!body.is_object())
    return invalid(fmt::format("the body must be a JSON object, found {}", brief(body)));
  std::map<const Field*, const Json*> given;
  for (const auto& [name, value] : body.as_object()) {
    const Field* field = find_field(name, endpoint);
    if (field == nullptr)
      return invalid(
          fmt::format("unknown field \"{}\": this endpoint does not have it, and nothing "
                      "a client sends is ignored silently",
                      short_name(name)),
          short_name(name));
    if (!given.emplace(field, &value).second)
      return invalid(fmt::format("{} is given more than once", name), name);
  }
  for (const auto table : kTables)
    for (const Field& field : table())
      if (const auto found = given.find(&field); found != given.end() && !found->second->is_null())
        TRY(field.read(Arg{std::string(field.name), *found->second, limits}, request));
  return {};
}

}  // namespace erne::server
