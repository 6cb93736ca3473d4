// Folders in which there is no model that erne can read, and what people who name them should do:
// unmerged adapters, pickles, other formats, downloads that did not finish.
#pragma once

#include <filesystem>
#include <string>

#include "base/status.h"

namespace erne::weights {

// Says what lies in a folder that has no safetensors files of a model, and what to do about it.
Status describe_no_weights(const std::filesystem::path& folder);

// Why a file that an index names is not there, as far as the folder tells.
std::string describe_missing_file(const std::filesystem::path& folder, const std::string& name);

// Whether the name is that of a file whose download goes on or was broken off.
bool is_unfinished_download(const std::string& name);

}  // namespace erne::weights
