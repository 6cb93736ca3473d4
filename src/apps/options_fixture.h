// For tests: flags from a command line and from an environment of the test's own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/options.h"

namespace erne::apps {

inline const std::string kTinyModel = ERNE_SOURCE_DIR "/models/erne-tiny";

using Arguments = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

inline Result<ParsedOptions> parse(const Arguments& arguments, const Variables& variables = {}) {
  return parse_options(arguments, [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace erne::apps
