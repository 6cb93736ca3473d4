// The rows behind `erne serve --help`. To add a flag, add a row (and a field of ServeOptions).
#pragma once

#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "apps/serve_options.h"

namespace erne::apps {

using Field = std::variant<bool ServeOptions::*, int64_t ServeOptions::*, double ServeOptions::*,
                           std::string ServeOptions::*, std::vector<std::string> ServeOptions::*>;

struct Allowed {
  double low = -std::numeric_limits<double>::infinity();  // numbers
  double high = std::numeric_limits<double>::infinity();
  const char* choices = "";  // strings: separated by spaces; empty: any
};
constexpr Allowed from_to(double low, double high) {
  return {low, high, ""};
}
constexpr Allowed one_of(const char* choices) {
  return {0, 0, choices};
}

struct Flag {
  const char* name;   // with dashes; underscores are accepted for them
  const char* group;  // heading in --help
  Field field;
  const char* help;
  Allowed allowed = {};
  const char* environment = "";  // variable that sets it; empty: none
};

// A flag of FastDeploy that has no field here.
struct ForeignFlag {
  const char* name;
  bool takes_value;
  const char* harmless;  // values that ask for what erne does anyway, separated by spaces
  const char* sentence;  // why it is refused, or why there is nothing to do
};

std::span<const Flag> flags();
std::span<const ForeignFlag> flags_not_built();        // refused with their sentence
std::span<const ForeignFlag> flags_with_no_meaning();  // accepted; the sentence is printed at start

}  // namespace erne::apps
