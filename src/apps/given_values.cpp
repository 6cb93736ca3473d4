#include "apps/given_values.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>

#include "base/text_file.h"

namespace erne::apps {
namespace {

constexpr size_t kMaxConfigBytes = 64 << 10;

const ForeignFlag* find_foreign(std::span<const ForeignFlag> table, const std::string& name) {
  const auto found = std::ranges::find_if(table, [&](const auto& row) { return name == row.name; });
  return found == table.end() ? nullptr : &*found;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Status twice(const std::string& name) {
  return invalid(fmt::format("{} is given twice", name), name);
}

// The command line, argument by argument.
class Line {
 public:
  Line(const Command& command, std::span<const std::string> arguments)
      : command_(command), rest_(arguments) {}

  Result<Given> read() {
    while (!rest_.empty()) {
      const std::string argument = with_dashes(take());
      if (!argument.starts_with("--"))
        return invalid(
            fmt::format("'{}' is no flag: flags begin with --, and a value follows its "
                        "flag; see '{} --help'",
                        argument.substr(0, kMaxShownBytes), command_.name));
      const size_t equals = argument.find('=');
      const std::string name = argument.substr(0, equals);
      if (equals == std::string::npos)
        TRY(read_flag(name, nullptr));
      else if (const std::string value = argument.substr(equals + 1); true)
        TRY(read_flag(name, &value));
    }
    return std::move(given_);
  }

 private:
  const std::string& take() {
    const std::string& argument = rest_.front();
    rest_ = rest_.subspan(1);
    return argument;
  }

  Result<void> read_flag(const std::string& name, const std::string* value) {
    if (command_.reads_config && name == "--config") return read_value(name, value);
    if (const KnownFlag known = find_flag(command_, name); known.exists())
      return known.is_switch() ? read_switch(name, value ? *value : "true")
                               : read_value(name, value);
    if (!name.starts_with("--no-")) return unknown_flag(command_, name);
    const std::string positive = "--" + name.substr(5);
    if (!find_flag(command_, positive).is_switch()) return unknown_flag(command_, name);
    if (value != nullptr) return invalid(fmt::format("{} takes no value", name), name);
    return read_switch(positive, "false");
  }

  Result<void> read_switch(const std::string& name, std::string value) {
    const bool is_new = given_.emplace(name, std::vector{std::move(value)}).second;
    return is_new ? Result<void>() : twice(name);
  }

  Result<void> read_value(const std::string& name, const std::string* value) {
    if (value == nullptr && (rest_.empty() || rest_.front().starts_with("--")))
      return invalid(fmt::format("{0} needs a value: {0} VALUE, or {0}=VALUE", name), name);
    given_[name].push_back(value ? *value : take());
    return {};
  }

  const Command& command_;
  std::span<const std::string> rest_;
  Given given_;
};

Result<std::string> scalar(const YAML::Node& node, const std::string& name) {
  if (node.IsScalar()) return node.Scalar();
  const char* found = node.IsNull() ? "null" : node.IsSequence() ? "a list" : "a map";
  return invalid(fmt::format("{} must be a value or a list of values, found {} in it", name, found),
                 name);
}

Result<void> read_entry(const Command& command, const YAML::Node& key, const YAML::Node& value,
                        Given& given, std::vector<std::string>& seen) {
  if (!key.IsScalar())
    return invalid("flag names must be texts, without dashes in front", "--config");
  const std::string name = "--" + with_dashes(key.Scalar());
  const KnownFlag known = find_flag(command, name);
  if (!known.exists()) return unknown_flag(command, name);
  if (std::ranges::find(seen, name) != seen.end()) return twice(name);
  seen.push_back(name);
  if (value.IsNull()) return {};
  std::vector<std::string> texts;
  if (!value.IsSequence()) {
    texts.push_back(TRY(scalar(value, name)));
  } else {
    const bool is_list =
        !known.flag || std::holds_alternative<std::vector<std::string>*>(known.flag->target);
    if (!is_list) return invalid(fmt::format("{} takes one value, found a list", name), name);
    if (value.size() == 0)
      return invalid(fmt::format("{} is an empty list: give a value, or leave it out", name), name);
    for (const auto& item : value) texts.push_back(TRY(scalar(item, name)));
  }
  given[name] = std::move(texts);
  return {};
}

Result<Given> read_yaml(const Command& command, const std::string& text) {
  const std::vector<YAML::Node> documents = YAML::LoadAll(text);
  if (documents.size() > 1)
    return invalid(fmt::format("holds {} documents; one is read", documents.size()), "--config");
  Given given;
  if (documents.empty() || documents[0].IsNull()) return given;
  if (!documents[0].IsMap()) return invalid("must be a map of flag names to values", "--config");
  std::vector<std::string> seen;
  for (const auto& entry : documents[0])
    TRY(read_entry(command, entry.first, entry.second, given, seen));
  return given;
}

std::vector<std::string> between_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    if (part = trimmed(part); !part.empty()) parts.push_back(part);
  if (parts.empty()) parts.emplace_back();  // refused by its row, as every empty text is
  return parts;
}

}  // namespace

bool KnownFlag::is_switch() const {
  if (flag != nullptr) return std::holds_alternative<bool*>(flag->target);
  const ForeignFlag* foreign = not_built != nullptr ? not_built : no_meaning;
  return foreign != nullptr && !foreign->takes_value;
}

KnownFlag find_flag(const Command& command, const std::string& name) {
  for (const Flag& flag : command.flags)
    if (name == flag.name) return {.flag = &flag};
  return {.not_built = find_foreign(command.not_built, name),
          .no_meaning = find_foreign(command.no_meaning, name)};
}

Status unknown_flag(const Command& command, const std::string& name) {
  const std::string shown = name.substr(0, kMaxShownBytes);
  return invalid(
      fmt::format("{} is not a flag of {}; see '{} --help'", shown, command.name, command.name),
      shown);
}

Result<Given> given_on_line(const Command& command, std::span<const std::string> arguments) {
  return Line(command, arguments).read();
}

Result<Given> given_in_file(const Command& command, const std::string& path) {
  const std::string text = TRY(read_text_file(path, kMaxConfigBytes, "--config"));
  const auto in_file = [&](Status status) {
    status.message = fmt::format("--config {}: {}", path, status.message);
    return status;
  };
  try {
    auto given = read_yaml(command, text);
    return given.ok() ? std::move(given) : in_file(given.status());
  } catch (const std::exception& error) {  // yaml-cpp's, for what is no YAML or nested too deeply
    return in_file(invalid(error.what(), "--config"));
  }
}

Given given_in_environment(const Command& command, const Environment& environment) {
  Given given;
  for (const Flag& flag : command.flags) {
    if (*flag.environment == '\0') continue;
    const bool is_opposite = *flag.environment == '!';
    const char* text = environment(flag.environment + (is_opposite ? 1 : 0));
    if (text == nullptr) continue;
    if (std::holds_alternative<std::vector<std::string>*>(flag.target))
      given[flag.name] = between_commas(text);
    else
      given[flag.name] = {is_opposite ? std::string("!") + text : text};
  }
  return given;
}

}  // namespace erne::apps
