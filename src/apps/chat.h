// `erne chat`: talk to a model in the terminal, without a server.
#pragma once

#include <span>
#include <string>

namespace erne::apps {

int run_chat(std::span<const std::string> arguments);

}  // namespace erne::apps
