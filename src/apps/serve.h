// `erne serve`: the OpenAI-compatible server.
#pragma once

#include <span>
#include <string>

namespace erne::apps {

int run_serve(std::span<const std::string> arguments);

}  // namespace erne::apps
