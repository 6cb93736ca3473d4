// The rows behind `erne serve --help`. To add a flag, add a row (and a field of ServeOptions).
#pragma once

#include <span>

#include "apps/flags.h"
#include "apps/serve_options.h"

namespace erne::apps {

std::span<const FlagRow<ServeOptions>> flags();
std::span<const ForeignFlag> flags_not_built();        // refused with their sentence
std::span<const ForeignFlag> flags_with_no_meaning();  // accepted; the sentence is printed at start

}  // namespace erne::apps
