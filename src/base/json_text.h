// A JSON value as a message to a client may show it.
#pragma once

#include <string>

#include "base/json.h"

namespace erne {

// Scalars as they are written, but for strings over 40 bytes; of what has parts, only what it is.
std::string brief(const Json& value);

}  // namespace erne
