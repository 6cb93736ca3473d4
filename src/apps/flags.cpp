#include "apps/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <sstream>
#include <type_traits>

#include "apps/given_values.h"

namespace erne::apps {
namespace {

using Texts = std::vector<std::string>;

// A choice such as "cuda:N" stands for any number.
bool is_numbered(std::string_view value, std::string_view choice) {
  constexpr size_t kMostDigits = 3;
  if (!choice.ends_with(":N")) return false;
  choice.remove_suffix(1);
  if (!value.starts_with(choice)) return false;
  value.remove_prefix(choice.size());
  return !value.empty() && value.size() <= kMostDigits &&
         value.find_first_not_of("0123456789") == value.npos;
}

bool is_one_of(const std::string& value, const std::string& choices) {
  std::istringstream words(choices);
  for (std::string word; words >> word;)
    if (word == value || is_numbered(value, word)) return true;
  return false;
}

// At least one part; two commas have an empty one between.
Texts split_at_commas(const std::string& text) {
  Texts parts(1);
  for (const char c : text) {
    if (c == ',')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

// A value as a message may show it.
std::string shown(const std::string& text) {
  std::string out = text.substr(0, kMaxShownBytes);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  return text.size() <= kMaxShownBytes ? out : out + "...";
}

Status wrong(const Flag& flag, const std::string& text, const std::string& allowed) {
  return invalid(fmt::format("{} is '{}': it must be {}", flag.name, shown(text), allowed),
                 flag.name);
}

template <class Number>
std::string allowed_numbers(const Flag& flag) {
  const char* kind = std::is_integral_v<Number> ? "a whole number" : "a number";
  double low = flag.allowed.low, high = flag.allowed.high;
  if constexpr (std::is_integral_v<Number>) {
    low = std::max(low, static_cast<double>(std::numeric_limits<Number>::min()));
    high = std::min(high, static_cast<double>(std::numeric_limits<Number>::max()));
  }
  return fmt::format("{} from {} to {}", kind, low, high);
}

template <class Number>
Result<Number> number(const Flag& flag, const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = error == std::errc() && end == text.data() + text.size();
  if (!is_whole || !(value >= flag.allowed.low && value <= flag.allowed.high))
    return wrong(flag, text, allowed_numbers<Number>(flag));
  return value;
}

template <class Number>
Result<void> assign(Number& field, const Flag& flag, const std::string& text) {
  field = TRY(number<Number>(flag, text));
  return {};
}

template <class Number>
Result<void> assign(std::vector<Number>& field, const Flag& flag, const std::string& text) {
  field.clear();
  for (const std::string& part : split_at_commas(text))
    field.push_back(TRY(number<Number>(flag, part)));
  return {};
}

// "!": from a variable that says the opposite.
Result<void> assign(bool& field, const Flag& flag, const std::string& text) {
  const bool is_opposite = text.starts_with('!');
  std::string word = text.substr(is_opposite ? 1 : 0);
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool is_true = is_one_of(word, "true 1 yes on");
  if (!is_true && !is_one_of(word, "false 0 no off"))
    return wrong(flag, text.substr(is_opposite ? 1 : 0), "true or false");
  field = is_true != is_opposite;
  return {};
}

Result<void> check_text(const Flag& flag, const std::string& text) {
  if (text.empty())
    return invalid(fmt::format("{} is empty: give a value, or leave it out", flag.name), flag.name);
  if (text.find('\0') != std::string::npos) return wrong(flag, text, "a text without zero bytes");
  const auto is_visible = [](unsigned char c) { return c > ' ' && c < 0x7F; };
  if (flag.allowed.is_key && !std::ranges::all_of(text, is_visible))
    return invalid(fmt::format("{} has a key with spaces, control characters or letters beyond "
                               "ASCII: no client could send it",
                               flag.name),
                   flag.name);
  if (*flag.allowed.choices != '\0' && !is_one_of(text, flag.allowed.choices))
    return wrong(flag, text, fmt::format("one of: {}", flag.allowed.choices));
  return {};
}

Result<void> assign(std::string& field, const Flag& flag, const std::string& text) {
  TRY(check_text(flag, text));
  field = text;
  return {};
}

Result<void> assign_all(const Flag& flag, const Texts& texts) {
  if (const auto* list = std::get_if<std::vector<std::string>*>(&flag.target)) {
    (*list)->clear();
    for (const std::string& text : texts)
      for (const std::string& part : flag.allowed.commas ? split_at_commas(text) : Texts{text}) {
        TRY(check_text(flag, part));
        (*list)->push_back(part);
      }
    return {};
  }
  if (texts.size() != 1)
    return invalid(fmt::format("{} takes one value, {} were given", flag.name, texts.size()),
                   flag.name);
  return std::visit(
      [&](auto* field) -> Result<void> {
        if constexpr (std::is_same_v<decltype(field), std::vector<std::string>*>)
          return {};
        else
          return assign(*field, flag, texts[0]);
      },
      flag.target);
}

bool is_harmless(const ForeignFlag& flag, const Texts& texts) {
  return std::ranges::all_of(texts, [&](const std::string& text) {
    return is_one_of(text, flag.takes_value ? flag.harmless : "false False 0");
  });
}

Result<void> apply(const Command& command, const Given& given, std::vector<std::string>& notes) {
  for (const auto& [name, texts] : given) {
    const KnownFlag known = find_flag(command, name);
    if (known.flag != nullptr) TRY(assign_all(*known.flag, texts));
    if (known.not_built != nullptr && !is_harmless(*known.not_built, texts)) {
      std::string message =
          fmt::format("{} {}: {}", name, shown(fmt::format("{}", fmt::join(texts, " "))),
                      known.not_built->sentence);
      if (*known.not_built->harmless != '\0')
        message += fmt::format(" (allowed: {})", known.not_built->harmless);
      return unsupported(std::move(message), name);
    }
    if (known.no_meaning != nullptr)
      notes.push_back(fmt::format("{}: nothing to do: {}", name, known.no_meaning->sentence));
  }
  return {};
}

// The name of the variable in front.
Result<void> apply_environment(const Command& command, const Given& given,
                               std::vector<std::string>& notes) {
  for (const auto& [name, texts] : given)
    if (const auto applied = apply(command, {{name, texts}}, notes); !applied.ok()) {
      Status status = applied.status();
      const std::string variable = find_flag(command, name).flag->environment;
      status.message =
          fmt::format("the environment's {}: {}",
                      variable.substr(variable.starts_with('!') ? 1 : 0), status.message);
      return status;
    }
  return {};
}

Result<void> apply_file(const Command& command, const std::string& path,
                        std::vector<std::string>& notes) {
  const auto applied = apply(command, TRY(given_in_file(command, path)), notes);
  if (applied.ok()) return {};
  Status status = applied.status();
  status.message = fmt::format("--config {}: {}", path, status.message);
  return status;
}

std::string value_text(const Target& target) {
  return std::visit(
      [](const auto* field) -> std::string {
        using Value = std::remove_cvref_t<decltype(*field)>;
        if constexpr (std::is_same_v<Value, bool>)
          return *field ? "on" : "off";
        else if constexpr (std::is_arithmetic_v<Value> || std::is_same_v<Value, std::string>)
          return fmt::format("{}", *field);
        else
          return fmt::format("{}", fmt::join(*field, ","));
      },
      target);
}

std::string row_help(const Flag& flag) {
  std::string help = flag.help;
  if (*flag.allowed.choices != '\0') help += fmt::format(" ({})", flag.allowed.choices);
  if (const std::string value = value_text(flag.target); !value.empty())
    help += fmt::format(" [{}]", value);
  const std::string variable = flag.environment;
  if (variable.starts_with('!'))
    help += fmt::format(" (environment: {}=1 turns it off)", variable.substr(1));
  else if (!variable.empty())
    help += fmt::format(" (environment: {})", variable);
  return help;
}

}  // namespace

std::string with_dashes(const std::string& argument) {
  if (argument == "-tp") return "--tensor-parallel-size";  // FastDeploy's one short flag
  if (argument.starts_with('-') && !argument.starts_with("--")) return argument;
  std::string out = argument;
  const size_t name_end = std::min(out.find('='), out.size());
  std::replace(out.begin(), out.begin() + static_cast<int64_t>(name_end), '_', '-');
  return out;
}

bool asks_for_help(std::span<const std::string> arguments) {
  return std::ranges::any_of(arguments,
                             [](const auto& text) { return text == "--help" || text == "-h"; });
}

Result<std::vector<std::string>> parse_flags(const Command& command,
                                             std::span<const std::string> arguments,
                                             const Environment& environment) {
  Given on_line = TRY(given_on_line(command, arguments));
  std::vector<std::string> notes;
  TRY(apply_environment(command, given_in_environment(command, environment), notes));
  if (const auto config = on_line.extract("--config"); !config.empty()) {
    if (config.mapped().size() != 1)
      return invalid("--config takes one file, more were given", "--config");
    TRY(apply_file(command, config.mapped()[0], notes));
  }
  TRY(apply(command, on_line, notes));
  return notes;
}

Result<void> require(std::initializer_list<std::pair<const char*, std::string>> flags) {
  for (const auto& [name, value] : flags)
    if (value.empty()) return invalid(fmt::format("{} is missing", name), name);
  return {};
}

std::string flags_help(const Command& command) {
  std::string out;
  std::string group;
  const auto row = [&](const std::string& name, const std::string& help) {
    out += fmt::format("  {:<28} {}\n", name, help);
  };
  for (const Flag& flag : command.flags) {
    if (group != flag.group) out += fmt::format("\n{}\n", group = flag.group);
    row(flag.name, row_help(flag));
  }
  out += "\nOther\n";
  if (command.reads_config)
    row("--config",
        "YAML file of flags; the command line wins over it, it wins over the environment");
  row("--help", "this text");
  return out;
}

}  // namespace erne::apps
