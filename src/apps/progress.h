// What long commands show on a terminal: one line that is rewritten. A log gets the outcome only.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace erne::apps {

// "loading weights: 3/12 tensors", with `what` in front.
std::function<void(size_t done, size_t total)> tensor_progress(std::string what);

}  // namespace erne::apps
