// `erne quantize`: makes a checkpoint of erne's own, whose weights are quantised and packed.
#pragma once

#include <span>
#include <string>

namespace erne::apps {

// Exit status of `erne quantize`.
int run_quantize(std::span<const std::string> arguments);

}  // namespace erne::apps
