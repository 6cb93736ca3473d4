#include "model/config_fields.h"

#include <fmt/format.h>

#include "base/json_file.h"
#include "weights/mapped_file.h"

namespace erne::model {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxIntegers = 1024;

bool is_integer_in(const Json& value, int min, int max) {
  return value.is_integer() && value.as_int() >= min && value.as_int() <= max;
}

std::string integer_range(int min, int max) {
  return fmt::format("an integer in [{}, {}]", min, max);
}

}  // namespace

Result<std::string> read_config_text(const std::filesystem::path& path) {
  const weights::MappedFile file = TRY(weights::MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() > kMaxConfigBytes)
    return invalid(fmt::format("{}: found {} bytes, expected at most {}", path.string(),
                               bytes.size(), kMaxConfigBytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status in_file(const std::filesystem::path& path, const Status& status) {
  return {status.code, fmt::format("{}: {}", path.string(), status.message), status.param};
}

Status bad_field(std::string_view key, const Json* found, const std::string& expected) {
  std::string shown = found == nullptr ? "nothing" : found->dump();
  if (shown.size() > 80) shown = shown.substr(0, 77) + "...";
  return invalid(fmt::format("{}: found {}, expected {}", key, shown, expected), std::string(key));
}

Result<ConfigFields> ConfigFields::parse(std::string_view text) {
  Json json = TRY(parse_json_file(text, kMaxDepth));
  if (!json.is_object())
    return invalid(fmt::format("found {}, expected a JSON object", json.type_name()));
  return ConfigFields(std::move(json));
}

const Json* ConfigFields::find(std::string_view key) const {
  const Json* value = json_.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<int> ConfigFields::integer(std::string_view key, int min, int max) const {
  const Json* value = find(key);
  if (value == nullptr || !is_integer_in(*value, min, max))
    return bad_field(key, value, integer_range(min, max));
  return static_cast<int>(value->as_int());
}

Result<int> ConfigFields::integer(std::string_view key, int min, int max, int otherwise) const {
  if (find(key) == nullptr) return otherwise;
  return integer(key, min, max);
}

Result<std::optional<double>> ConfigFields::number(std::string_view key, double above,
                                                   double most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number() || !(value->as_double() > above) || !(value->as_double() <= most))
    return bad_field(key, value, fmt::format("a number above {} and at most {}", above, most));
  return std::optional(value->as_double());
}

Result<std::optional<bool>> ConfigFields::boolean(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_bool()) return bad_field(key, value, "true or false");
  return std::optional(value->as_bool());
}

Result<std::optional<std::string>> ConfigFields::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return bad_field(key, value, "a string");
  return std::optional(value->as_string());
}

Result<std::vector<int32_t>> ConfigFields::integers(std::string_view key, int min, int max) const {
  const Json* value = find(key);
  if (value == nullptr) return std::vector<int32_t>();
  const std::string expected = integer_range(min, max) + " or a list of them";
  if (is_integer_in(*value, min, max))
    return std::vector<int32_t>{static_cast<int32_t>(value->as_int())};
  if (!value->is_array() || value->as_array().size() > kMaxIntegers)
    return bad_field(key, value, expected);
  std::vector<int32_t> out;
  for (const Json& element : value->as_array()) {
    if (!is_integer_in(element, min, max)) return bad_field(key, value, expected);
    out.push_back(static_cast<int32_t>(element.as_int()));
  }
  return out;
}

Result<ConfigFields> ConfigFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return ConfigFields(Json(Json::Object()));
  if (!value->is_object()) return bad_field(key, value, "an object");
  return ConfigFields(*value);
}

}  // namespace erne::model
