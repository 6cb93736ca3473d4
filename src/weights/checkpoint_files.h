// Which files of a folder hold a checkpoint's weights, as Hugging Face, Baidu and trainers leave
// them, and what to tell whoever names a folder that holds none.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace erne::weights {

using WeightMap = std::map<std::string, std::string, std::less<>>;  // tensor -> file

inline constexpr char kSingleFile[] = "model.safetensors";
inline constexpr char kIndexFile[] = "model.safetensors.index.json";

// What nobody may look at is not there.
bool is_present(const std::filesystem::path& path);

struct WeightFiles {
  std::vector<std::string> files = {};     // names in the folder, each there
  std::vector<std::string> missing = {};   // likewise, named by the index and not there
  WeightMap index = {};                    // empty: there is none, or it is not believed
  std::vector<std::string> warnings = {};  // what was passed over, in whole sentences
};

// The index's shards, where they are all there; else model.safetensors; else what there is of the
// index's shards, or all the shards of one model that no index names. An error says what the folder
// holds instead, and what to do with it.
Result<WeightFiles> find_weight_files(const std::filesystem::path& folder);

// `name` -> file of an index's text. Refuses file names that could leave the folder.
Result<WeightMap> parse_safetensors_index(std::string_view text);

}  // namespace erne::weights
