// Flags, configuration file and environment, all from one table of rows in options.cpp: a row is
// the flag, its type and limits, its environment variable, its help, and, for FastDeploy's flags
// that are not built yet, that they are refused. Both spellings count: --max-model-len and
// --max_model_len.
//
// Precedence: flag, then configuration file (--config, YAML: flag names without dashes in front),
// then environment, then default. Nothing below apps/ sees the environment.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/serve_options.h"
#include "base/status.h"

namespace erne::apps {

struct ParsedOptions {
  ServeOptions options;
  std::vector<std::string> notes;  // flags that were given and change nothing, and why
};

using Environment = std::function<const char*(const char*)>;  // getenv, or a test's

Result<ParsedOptions> parse_options(std::span<const std::string> arguments,
                                    const Environment& environment);

std::string options_help();  // every flag that is built, by group, with its default

}  // namespace erne::apps
