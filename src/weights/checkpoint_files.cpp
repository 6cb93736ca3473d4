#include "weights/checkpoint_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/json_file.h"
#include "weights/foreign_files.h"
#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 16 << 20;
constexpr size_t kMaxShards = 4096;
constexpr int kIndexDepth = 8;
constexpr std::string_view kShardEnd = ".safetensors";

// A plain name of a safetensors file: no folder, no way out of this one, not hidden (as macOS's
// "._model.safetensors" is).
bool is_shard_name(std::string_view name) {
  return name.size() <= 255 && name.ends_with(kShardEnd) && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Result<WeightMap> read_index(const fs::path& path) {
  const MappedFile file = TRY(MappedFile::open(path));
  if (is_lfs_pointer(file.bytes()))
    return invalid(
        fmt::format("{} is a Git LFS pointer, not what it points to: run `git lfs pull` "
                    "in its folder",
                    path.string()));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  Result<WeightMap> index = parse_safetensors_index(text);
  if (!index)
    return invalid(fmt::format("{}: {}", path.string(), index.status().message),
                   index.status().param);
  return index;
}

Result<WeightFiles> files_of(const fs::path& folder, WeightMap index) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index)
    if (shards.insert(shard).second && shards.size() > kMaxShards)
      return invalid(
          fmt::format("{}: found more than {} files", (folder / kIndexFile).string(), kMaxShards));
  WeightFiles found;
  for (const std::string& shard : shards)
    (is_present(folder / shard) ? found.files : found.missing).push_back(shard);
  found.index = std::move(index);
  return found;
}

// "model-00002-of-00005.safetensors".
struct ShardName {
  std::string model, total;  // "model", "00005"
};

std::optional<ShardName> parse_shard_name(std::string_view name) {
  constexpr std::string_view kPattern = "-00000-of-00000.safetensors";
  if (name.size() <= kPattern.size()) return {};
  const std::string_view end = name.substr(name.size() - kPattern.size());
  for (size_t i = 0; i < kPattern.size(); ++i)
    if (kPattern[i] == '0' ? !std::isdigit(static_cast<unsigned char>(end[i]))
                           : end[i] != kPattern[i])
      return {};
  return ShardName{std::string(name.substr(0, name.size() - kPattern.size())),
                   std::string(end.substr(10, 5))};
}

// Training states and adapters, which lie beside weights under names like theirs.
bool is_of_training(std::string_view name) {
  constexpr std::string_view kBegins[] = {"adapter_", "optimizer",      "scheduler", "peft_model",
                                          "training", "master_weights", "ema_",      "rng_state"};
  return std::ranges::any_of(kBegins, [&](auto begin) { return name.starts_with(begin); });
}

std::vector<std::string> unnamed_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    std::string name = entry.path().filename();
    if (names.size() < kMaxShards && is_shard_name(name) && !is_of_training(name))
      names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

// Shards that no index names: those of one model, all of them. Or one file of another name.
Result<WeightFiles> unnamed_shards(const fs::path& folder, const std::vector<std::string>& names) {
  std::set<std::pair<std::string, std::string>> models;
  std::vector<std::string> shards, others;
  for (const std::string& name : names) {
    const auto shard = parse_shard_name(name);
    if (shard) models.emplace(shard->model, shard->total);
    (shard ? shards : others).push_back(name);
  }
  const bool is_whole =
      models.size() == 1 && std::ssize(shards) == std::stoi(models.begin()->second);
  if (!is_whole && !(shards.empty() && others.size() == 1))
    return invalid(fmt::format(
        "{} holds {}, and no {} that says which of them are the model{}; download it whole",
        folder.string(), quote_names(names), kIndexFile,
        models.size() == 1 ? fmt::format(": {} of {} shards are there", shards.size(),
                                         std::stoi(models.begin()->second))
                           : ""));
  WeightFiles found{.files = is_whole ? shards : others};
  found.warnings.push_back(fmt::format("{} holds neither {} nor {}: reading {}", folder.string(),
                                       kSingleFile, kIndexFile, quote_names(found.files)));
  return found;
}

Result<WeightFiles> files_without_index(const fs::path& folder) {
  if (is_present(folder / kSingleFile)) return WeightFiles{.files = {kSingleFile}};
  const std::vector<std::string> names = unnamed_files(folder);
  if (names.empty()) return describe_no_weights(folder);
  return unnamed_shards(folder, names);
}

}  // namespace

bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<WeightMap> parse_safetensors_index(std::string_view text) {
  if (text.size() > kMaxIndexBytes)
    return invalid(fmt::format("found {} bytes, expected at most {}", text.size(), kMaxIndexBytes));
  const Json index = TRY(parse_json_file(text, kIndexDepth));
  const Json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object() || weight_map->as_object().empty())
    return invalid("weight_map: expected an object from tensor names to file names", "weight_map");
  WeightMap out;
  for (const auto& [tensor, file] : weight_map->as_object()) {
    if (!file.is_string() || !is_shard_name(file.as_string()))
      return invalid(
          fmt::format("tensor {}: found the file {}, expected the plain name of a "
                      ".safetensors file in the same folder",
                      quote_name(tensor),
                      file.is_string() ? quote_name(file.as_string()) : file.type_name()),
          tensor);
    out.emplace(tensor, file.as_string());
  }
  return out;
}

Result<WeightFiles> find_weight_files(const fs::path& folder) {
  if (!is_present(folder / kIndexFile)) return files_without_index(folder);
  const bool has_single = is_present(folder / kSingleFile);
  Result<WeightMap> index = read_index(folder / kIndexFile);
  Result<WeightFiles> named =
      index ? files_of(folder, std::move(index).value()) : Result<WeightFiles>(index.status());
  if (named && named->missing.empty()) {
    if (has_single && std::ranges::find(named->files, kSingleFile) == named->files.end())
      named->warnings.push_back(
          fmt::format("{} is not read: {} names other files, which are all there; delete the older "
                      "of the two",
                      (folder / kSingleFile).string(), kIndexFile));
    return named;
  }
  const std::string stale =
      named ? describe_missing_file(folder, named->missing[0]) : named.status().message;
  if (!has_single && named) return named;
  auto found = files_without_index(folder);
  if (!found) return named;
  found->warnings.push_back(fmt::format("{} is not believed: {}; reading {}", kIndexFile, stale,
                                        quote_names(found->files)));
  return found;
}

}  // namespace erne::weights
