// erne: one binary. Each subcommand is a file of this folder and a row of the table below.
#include <fmt/format.h>

#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/bench.h"
#include "apps/chat.h"
#include "apps/quantize.h"
#include "apps/serve.h"

namespace {

struct Command {
  const char* name;
  int (*run)(std::span<const std::string> arguments);
  const char* help;
};

constexpr Command kCommands[] = {
    {"serve", erne::apps::run_serve, "serve a model over the OpenAI API"},
    {"chat", erne::apps::run_chat, "talk to a model in the terminal"},
    {"quantize", erne::apps::run_quantize, "make a quantised checkpoint that loads at read speed"},
    {"bench", erne::apps::run_bench, "measure a server, a model or this machine's kernels"},
};

int usage(int status) {
  fmt::print("erne {}: a serving engine for Baidu's ERNIE-4.5 models\n\n", ERNE_VERSION);
  for (const Command& command : kCommands)
    fmt::print("  erne {:<8} {}\n", command.name, command.help);
  fmt::print("\n'erne COMMAND --help' lists a command's flags.\n");
  return status;
}

// What a system lacks where nothing asked it (threads, memory) ends the command with a sentence.
int run(const Command& command, std::span<const std::string> arguments) {
  try {
    return command.run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "erne {}: the system gave up: {}\n", command.name, error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return usage(2);
  if (arguments[0] == "--help" || arguments[0] == "-h") return usage(0);
  if (arguments[0] == "--version") {
    fmt::print("erne {}\n", ERNE_VERSION);
    return 0;
  }
  for (const Command& command : kCommands)
    if (arguments[0] == command.name) return run(command, std::span(arguments).subspan(1));
  fmt::print(stderr, "erne: there is no command '{}'\n\n", arguments[0]);
  return usage(2);
}
