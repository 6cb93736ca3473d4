#include "model/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json_file.h"
#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"

namespace erne::model {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxIntegers = 1024;

std::optional<int> integer_in(const Json& value, int min, int max) {
  const auto whole = whole_number(value);
  if (!whole || *whole < min || *whole > max) return {};
  return static_cast<int>(*whole);
}

std::string integer_range(int min, int max) {
  return fmt::format("an integer in [{}, {}]", min, max);
}

}  // namespace

Result<std::string> read_config_text(const std::filesystem::path& path) {
  const weights::MappedFile file = TRY(weights::MappedFile::open(path));
  const auto bytes = file.bytes();
  if (weights::is_lfs_pointer(bytes))
    return invalid(
        fmt::format("{} is a Git LFS pointer, not what it points to: run `git lfs pull` "
                    "in its folder",
                    path.string()));
  if (bytes.size() > kMaxConfigBytes)
    return invalid(fmt::format("{}: found {} bytes, expected at most {}", path.string(),
                               bytes.size(), kMaxConfigBytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status in_file(const std::filesystem::path& path, const Status& status) {
  return {status.code, fmt::format("{}: {}", path.string(), status.message), status.param};
}

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_integer()) return value.as_int();
  constexpr double kMost = 9007199254740992;  // above it not every integer is a double
  if (!value.is_number() || std::abs(value.as_double()) > kMost ||
      value.as_double() != std::trunc(value.as_double()))
    return {};
  return static_cast<int64_t>(value.as_double());
}

std::string show_value(const Json* found) {
  const std::string shown = found == nullptr ? "nothing" : found->dump();
  return shown.size() > 80 ? shown.substr(0, 77) + "..." : shown;
}

Status bad_field(std::string_view key, const Json* found, const std::string& expected) {
  return invalid(fmt::format("{}: found {}, expected {}", key, show_value(found), expected),
                 std::string(key));
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
  const auto found = value == nullptr ? std::nullopt : integer_in(*value, min, max);
  if (!found) return bad_field(key, value, integer_range(min, max));
  return *found;
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
  if (const auto one = integer_in(*value, min, max)) return std::vector<int32_t>{*one};
  if (!value->is_array() || value->as_array().size() > kMaxIntegers)
    return bad_field(key, value, expected);
  std::vector<int32_t> out;
  for (const Json& element : value->as_array()) {
    const auto found = integer_in(element, min, max);
    if (!found) return bad_field(key, value, expected);
    out.push_back(*found);
  }
  return out;
}

Result<ConfigFields> ConfigFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return ConfigFields(Json(Json::Object()));
  if (!value->is_object()) return bad_field(key, value, "an object");
  return ConfigFields(*value);
}

bool ConfigFields::is_empty() const {
  return std::ranges::all_of(json_.as_object(),
                             [](const auto& member) { return member.second.is_null(); });
}

}  // namespace erne::model
