// Which folder a user means by --model: a checkpoint itself, or a place where a hub's client keeps
// one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace erne::weights {

struct ModelFolder {
  std::filesystem::path path;  // holds config.json
  std::string note = {};       // how it was found, where it is not the one that was named
  std::string warning = {};    // what is odd about it
};

// Folders in which the hubs' clients keep what they download.
struct HubCaches {
  std::vector<std::filesystem::path> hugging_face = {};  // holds models--org--name
  std::vector<std::filesystem::path> modelscope = {};    // holds org/name
};

// Whether it is one of Hugging Face's cache, which has its files below snapshots/.
bool is_hub_cache(const std::filesystem::path& folder);

// A folder of Hugging Face's cache (models--org--name) stands for the snapshot that its refs/main
// names, or else for its only or newest one. Errors have `flag` as their param and say what the
// place holds instead: a checkpoint further down, an adapter, an unfinished download; and of a
// name, "org/name", which of `caches` has it.
Result<ModelFolder> find_model_folder(const std::filesystem::path& named, const std::string& flag,
                                      const HubCaches& caches = {});

}  // namespace erne::weights
