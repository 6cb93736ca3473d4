// The flags of `erne serve`, which `erne chat` and the benchmarks of models have as well.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "apps/flags.h"
#include "apps/serve_options.h"
#include "base/status.h"

namespace erne::apps {

struct ParsedOptions {
  ServeOptions options;
  std::vector<std::string> notes;  // flags that were given and change nothing, and why
};

Result<ParsedOptions> parse_options(std::span<const std::string> arguments,
                                    const Environment& environment);

std::string options_help();  // every flag that is built, by group, with its default

// For a command that has these flags beside its own: adds the rows of all tables.
void add_serve_flags(Command& command, ServeOptions& options);
// What no single row can say: values that exclude each other.
Result<void> check_together(const ServeOptions& options);

}  // namespace erne::apps
