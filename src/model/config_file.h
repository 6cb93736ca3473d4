// config.json: read for the architecture that it names.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/status.h"
#include "model/ernie_config.h"

namespace erne::model {

// The file's text. An architecture that is not built is refused before any other field is read.
Result<ErnieConfig> parse_config(std::string_view text);

// Reads <folder>/config.json.
Result<ErnieConfig> read_config(const std::filesystem::path& folder);

}  // namespace erne::model
