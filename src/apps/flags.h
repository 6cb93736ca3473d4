// Flags of every command, from tables: a row is the flag, the field it fills, its limits, its
// environment variable and its help. One parser reads command line, configuration file and
// environment by them, and one printer writes --help. Both spellings count: --max-model-len and
// --max_model_len.
//
// Precedence: command line, then configuration file (--config, YAML: flag names without dashes in
// front; null is "not given"), then environment, then the field's default. Whatever stands there, a
// Status comes back that names source, flag and what is allowed; nothing is ignored, and nothing
// below apps/ sees the environment.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace erne::apps {

struct Allowed {
  double low = -std::numeric_limits<double>::infinity();  // of numbers, each one of a list
  double high = std::numeric_limits<double>::infinity();
  // Of texts, separated by spaces; "cuda:N" is any number. Empty: any text.
  const char* choices = "";
  bool is_key = false;  // visible ASCII characters: what an HTTP header can carry
  bool commas = false;  // a list of texts may also stand in one value
};
constexpr Allowed from_to(double low, double high) {
  return {.low = low, .high = high};
}
constexpr Allowed one_of(const char* choices) {
  return {.choices = choices};
}

// Where a value goes. A list of texts is filled by repeating the flag, one of numbers by commas.
template <class Options>
using Field =
    std::variant<bool Options::*, int Options::*, int64_t Options::*, uint64_t Options::*,
                 double Options::*, std::string Options::*, std::vector<std::string> Options::*,
                 std::vector<int> Options::*, std::vector<int64_t> Options::*>;
using Target = std::variant<bool*, int*, int64_t*, uint64_t*, double*, std::string*,
                            std::vector<std::string>*, std::vector<int>*, std::vector<int64_t>*>;

template <class Options>
struct FlagRow {
  const char* name;   // with dashes; underscores are accepted for them
  const char* group;  // heading in --help
  Field<Options> field;
  const char* help;
  Allowed allowed = {};
  // Variable that sets it, lists between commas; empty: none. "!NAME": one that says the opposite.
  const char* environment = "";
};

// A row with the field of the options to fill, which outlive it.
struct Flag {
  const char* name;
  const char* group;
  Target target;
  const char* help;
  Allowed allowed;
  const char* environment;
};

// A flag of FastDeploy that has no field here.
struct ForeignFlag {
  const char* name;
  bool takes_value;
  const char* harmless;  // values that ask for what erne does anyway, separated by spaces
  const char* sentence;  // why it is refused, or why there is nothing to do
};

struct Command {
  std::string name;  // "erne serve"
  std::vector<Flag> flags = {};
  std::span<const ForeignFlag> not_built = {};   // refused with their sentence
  std::span<const ForeignFlag> no_meaning = {};  // accepted; the sentence is a note
  bool reads_config = false;                     // has --config

  template <class Options>
  Command& add(std::type_identity_t<std::span<const FlagRow<Options>>> rows, Options& options) {
    for (const FlagRow<Options>& row : rows) {
      const auto bind = [&](auto member) { return Target(&(options.*member)); };
      flags.push_back({row.name, row.group, std::visit(bind, row.field), row.help, row.allowed,
                       row.environment});
    }
    return *this;
  }
};

using Environment = std::function<const char*(const char*)>;  // getenv, or a test's

// Fills the fields; returns notes: flags that were given and change nothing, and why.
Result<std::vector<std::string>> parse_flags(const Command& command,
                                             std::span<const std::string> arguments,
                                             const Environment& environment);

// kInvalid for the first of these flags that has no value.
Result<void> require(std::initializer_list<std::pair<const char*, std::string>> flags);

// Every flag by group, with what is allowed and its default: call it before parse_flags().
std::string flags_help(const Command& command);
bool asks_for_help(std::span<const std::string> arguments);

// --max_model_len=9 as --max-model-len=9.
std::string with_dashes(const std::string& argument);

}  // namespace erne::apps
