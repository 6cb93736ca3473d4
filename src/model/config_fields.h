// The members of a configuration file, read with their ranges. Every error names the field, what
// was found and what is allowed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace erne::model {

inline constexpr size_t kMaxConfigBytes = 1 << 20;

// The whole file; at most kMaxConfigBytes.
Result<std::string> read_config_text(const std::filesystem::path& path);

// Puts the file's path in front of a parser's message.
Status in_file(const std::filesystem::path& path, const Status& status);

class ConfigFields {
 public:
  static Result<ConfigFields> parse(std::string_view text);
  explicit ConfigFields(Json object) : json_(std::move(object)) {}

  // nullptr where the member is absent or null: both mean "not said".
  const Json* find(std::string_view key) const;

  // Integers may be written as numbers with a point, 50.0, as some tools do.
  Result<int> integer(std::string_view key, int min, int max) const;  // required
  Result<int> integer(std::string_view key, int min, int max, int otherwise) const;
  // In (above, most]: no bound of ours is a sensible lower end.
  Result<std::optional<double>> number(std::string_view key, double above, double most) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::string>> text(std::string_view key) const;
  // An integer or a list of them; empty where absent.
  Result<std::vector<int32_t>> integers(std::string_view key, int min, int max) const;
  // The member as an object of its own; no members where it is absent.
  Result<ConfigFields> object(std::string_view key) const;
  // Whether nothing is said: no member is there that is not null.
  bool is_empty() const;

 private:
  Json json_;
};

// The whole number that `value` is; nullopt: it is none.
std::optional<int64_t> whole_number(const Json& value);

// A field's error: "hidden_size: found -1, expected an integer in [1, 65536]".
Status bad_field(std::string_view key, const Json* found, const std::string& expected);
// "-1", cut where it is long.
std::string show_value(const Json* found);

}  // namespace erne::model
