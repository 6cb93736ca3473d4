#include "apps/options.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>

#include "apps/option_table.h"

namespace erne::apps {
namespace {

using Texts = std::vector<std::string>;
using Given = std::map<std::string, Texts>;  // flag name -> its values as text

bool is_one_of(const std::string& value, const std::string& choices) {
  std::istringstream words(choices);
  for (std::string word; words >> word;)
    if (word == value) return true;
  return false;
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// The argument with FastDeploy's spellings turned into ours: --max_model_len=9, -tp.
std::string canonical(const std::string& argument) {
  if (argument == "-tp") return "--tensor-parallel-size";
  if (!argument.starts_with("--")) return argument;
  const size_t name_end = argument.find('=');
  std::string name = with_dashes(argument.substr(0, name_end));
  return name_end == std::string::npos ? name : name + argument.substr(name_end);
}

template <class Number>
Result<void> assign_number(Number& field, const Flag& flag, const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return invalid(fmt::format("{} is '{}': it must be a number", flag.name, text), flag.name);
  if (!(value >= flag.allowed.low && value <= flag.allowed.high))
    return invalid(fmt::format("{} is {}: it must be from {} to {}", flag.name, text,
                               flag.allowed.low, flag.allowed.high),
                   flag.name);
  field = value;
  return {};
}

Result<void> assign_bool(bool& field, const Flag& flag, const std::string& text) {
  if (!is_one_of(text, "true false 1 0 True False"))
    return invalid(fmt::format("{} is '{}': it must be true or false", flag.name, text), flag.name);
  field = is_one_of(text, "true 1 True");
  return {};
}

Result<void> assign_string(std::string& field, const Flag& flag, const std::string& text) {
  if (*flag.allowed.choices != '\0' && !is_one_of(text, flag.allowed.choices))
    return invalid(
        fmt::format("{} is '{}': it must be one of: {}", flag.name, text, flag.allowed.choices),
        flag.name);
  field = text;
  return {};
}

Result<void> assign(ServeOptions& options, const Flag& flag, const Texts& texts) {
  if (const auto* list = std::get_if<std::vector<std::string> ServeOptions::*>(&flag.field)) {
    options.** list = texts;
    return {};
  }
  if (texts.size() != 1)
    return invalid(fmt::format("{} takes one value, {} were given", flag.name, texts.size()),
                   flag.name);
  const std::string& text = texts[0];
  if (const auto* b = std::get_if<bool ServeOptions::*>(&flag.field))
    return assign_bool(options.**b, flag, text);
  if (const auto* i = std::get_if<int64_t ServeOptions::*>(&flag.field))
    return assign_number(options.**i, flag, text);
  if (const auto* d = std::get_if<double ServeOptions::*>(&flag.field))
    return assign_number(options.**d, flag, text);
  return assign_string(options.*std::get<std::string ServeOptions::*>(flag.field), flag, text);
}

bool is_bool(const Flag& flag) {
  return std::holds_alternative<bool ServeOptions::*>(flag.field);
}

const Flag* find_flag(const std::string& name) {
  for (const Flag& flag : flags())
    if (flag.name == name) return &flag;
  return nullptr;
}

const ForeignFlag* find_foreign(std::span<const ForeignFlag> table, const std::string& name) {
  for (const ForeignFlag& flag : table)
    if (flag.name == name) return &flag;
  return nullptr;
}

// CLI11 does the splitting of arguments; meaning is ours, the same for every source.
struct CommandLine {
  CLI::App app;
  std::map<std::string, Texts> values;
  std::map<std::string, std::string> switches;

  CommandLine() {
    app.set_help_flag();
    app.allow_config_extras(false);
    add_value("--config");
    for (const Flag& flag : flags()) is_bool(flag) ? add_switch(flag.name) : add_value(flag.name);
    for (auto table : {flags_not_built(), flags_with_no_meaning()})
      for (const ForeignFlag& flag : table)
        flag.takes_value ? add_value(flag.name) : add_switch(flag.name);
  }
  void add_value(const std::string& name) {
    app.add_option(name, values[name])
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  void add_switch(const std::string& name) {
    const std::string no = "--no-" + name.substr(2);
    app.add_flag(name + ",!" + no, switches[name]);
  }
};

Result<Given> from_arguments(std::span<const std::string> arguments) {
  CommandLine line;
  Texts reversed;  // as CLI11 wants them
  for (auto it = arguments.rbegin(); it != arguments.rend(); ++it)
    reversed.push_back(canonical(*it));
  try {
    line.app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return invalid(fmt::format("{}; see 'erne serve --help'", error.what()));
  }
  Given given;
  for (auto& [name, texts] : line.values)
    if (!texts.empty()) given[name] = texts;
  for (auto& [name, text] : line.switches)
    if (!text.empty()) given[name] = {text};
  return given;
}

Result<Given> from_file(const std::string& path) {
  Given given;
  try {
    const YAML::Node root = YAML::LoadFile(path);
    if (!root.IsMap())
      return invalid(fmt::format("{}: must be a map of flag names to values", path), "--config");
    for (const auto& entry : root) {
      const std::string name = "--" + with_dashes(entry.first.as<std::string>());
      Texts& texts = given[name];
      if (entry.second.IsSequence())
        for (const auto& item : entry.second) texts.push_back(item.as<std::string>());
      else
        texts.push_back(entry.second.as<std::string>());
    }
  } catch (const YAML::Exception& error) {
    return invalid(fmt::format("{}: {}", path, error.what()), "--config");
  }
  return given;
}

Given from_environment(const Environment& environment) {
  Given given;
  for (const Flag& flag : flags()) {
    const char* text = *flag.environment ? environment(flag.environment) : nullptr;
    if (text == nullptr || *text == '\0') continue;
    if (!std::holds_alternative<std::vector<std::string> ServeOptions::*>(flag.field)) {
      given[flag.name] = {text};
      continue;
    }
    std::istringstream parts(text);  // lists are separated by commas
    for (std::string part; std::getline(parts, part, ',');) given[flag.name].push_back(part);
  }
  const char* no_chunks = environment("FD_DISABLE_CHUNKED_PREFILL");
  if (no_chunks != nullptr && std::string(no_chunks) == "1")
    given["--enable-chunked-prefill"] = {"false"};
  return given;
}

Result<void> apply_given(ParsedOptions& parsed, const Given& given) {
  for (const auto& [name, texts] : given) {
    if (name == "--config") continue;
    if (const Flag* flag = find_flag(name)) {
      TRY(assign(parsed.options, *flag, texts));
    } else if (const ForeignFlag* refused = find_foreign(flags_not_built(), name)) {
      const bool harmless = std::all_of(texts.begin(), texts.end(), [&](const std::string& text) {
        return is_one_of(text, refused->harmless) || (!refused->takes_value && text == "false");
      });
      if (!harmless)
        return unsupported(fmt::format("{} {}: {}", name, fmt::join(texts, " "), refused->sentence),
                           name);
    } else if (const ForeignFlag* needless = find_foreign(flags_with_no_meaning(), name)) {
      parsed.notes.push_back(fmt::format("{}: nothing to do: {}", name, needless->sentence));
    } else {
      return invalid(fmt::format("{} is not a flag of erne serve; see 'erne serve --help'", name),
                     name);
    }
  }
  return {};
}

std::string default_text(const Flag& flag) {
  static const ServeOptions defaults;
  if (is_bool(flag)) return defaults.*std::get<bool ServeOptions::*>(flag.field) ? "on" : "off";
  if (const auto* i = std::get_if<int64_t ServeOptions::*>(&flag.field))
    return std::to_string(defaults.**i);
  if (const auto* d = std::get_if<double ServeOptions::*>(&flag.field))
    return fmt::format("{}", defaults.**d);
  if (const auto* s = std::get_if<std::string ServeOptions::*>(&flag.field)) return defaults.**s;
  return "";
}

}  // namespace

Result<ParsedOptions> parse_options(std::span<const std::string> arguments,
                                    const Environment& environment) {
  const Given on_line = TRY(from_arguments(arguments));
  ParsedOptions parsed;
  TRY(apply_given(parsed, from_environment(environment)));
  if (const auto config = on_line.find("--config"); config != on_line.end())
    TRY(apply_given(parsed, TRY(from_file(config->second.back()))));
  TRY(apply_given(parsed, on_line));
  return parsed;
}

std::string options_help() {
  std::string out;
  std::string group;
  auto row = [&](const std::string& name, const std::string& help) {
    out += fmt::format("  {:<28} {}\n", name, help);
  };
  for (const Flag& flag : flags()) {
    if (group != flag.group) out += fmt::format("\n{}\n", group = flag.group);
    std::string help = flag.help;
    if (*flag.allowed.choices) help += fmt::format(" ({})", flag.allowed.choices);
    const std::string value = default_text(flag);
    if (!value.empty()) help += fmt::format(" [{}]", value);
    if (*flag.environment) help += fmt::format(" (environment: {})", flag.environment);
    row(flag.name, help);
  }
  out += "\nOther\n";
  row("--config",
      "YAML file of flags; the command line wins over it, it wins over the environment");
  row("--help", "this text");
  return out;
}

}  // namespace erne::apps
