#include "apps/options.h"

#include <fmt/format.h>

#include "apps/option_table.h"

namespace erne::apps {
namespace {

Command serve_command(ServeOptions& options) {
  Command command{.name = "erne serve"};
  add_serve_flags(command, options);
  return command;
}

}  // namespace

void add_serve_flags(Command& command, ServeOptions& options) {
  command.add(flags(), options);
  command.not_built = flags_not_built();
  command.no_meaning = flags_with_no_meaning();
  command.reads_config = true;
}

Result<void> check_together(const ServeOptions& options) {
  if (options.port != 0 && options.metrics_port == options.port)
    return invalid(fmt::format("--metrics-port is {}, as --port is: name another one, or leave it "
                               "out, for --port serves /metrics as well",
                               options.port),
                   "--metrics-port");
  if (options.swap_space > 0 && !options.enable_prefix_caching)
    return invalid(
        "--swap-space is memory for prefixes, and --no-enable-prefix-caching keeps none: leave one "
        "of them out",
        "--swap-space");
  return {};
}

Result<ParsedOptions> parse_options(std::span<const std::string> arguments,
                                    const Environment& environment) {
  ParsedOptions parsed;
  parsed.notes = TRY(parse_flags(serve_command(parsed.options), arguments, environment));
  TRY(check_together(parsed.options));
  return parsed;
}

std::string options_help() {
  ServeOptions defaults;
  return flags_help(serve_command(defaults));
}

}  // namespace erne::apps
