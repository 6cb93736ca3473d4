#include "weights/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "weights/checkpoint_files.h"
#include "weights/foreign_files.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Folders in a folder, hidden ones apart (ModelScope's "._____temp" is one).
std::vector<fs::path> folders_in(const fs::path& folder) {
  constexpr size_t kMost = 1000;
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
    if (out.size() < kMost && entry.is_directory(ignored) &&
        !entry.path().filename().string().starts_with('.'))
      out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

// What refs/main names; empty: nothing usable.
std::string main_revision(const fs::path& folder) {
  std::ifstream file(folder / "refs/main");
  std::string revision;
  constexpr size_t kLongest = 64;
  if (!(file >> revision) || revision.size() > kLongest || revision.starts_with('.') ||
      revision.find('/') != std::string::npos)
    return {};
  return revision;
}

Result<ModelFolder> snapshot_of(const fs::path& folder, const std::string& flag) {
  const std::string main = main_revision(folder);
  if (const fs::path path = folder / "snapshots" / main;
      !main.empty() && is_present(path / kConfig))
    return ModelFolder{path, fmt::format("{} {}: its snapshot {}", flag, folder.string(), main)};
  std::vector<fs::path> snapshots = folders_in(folder / "snapshots");
  std::erase_if(snapshots, [](const fs::path& path) { return !is_present(path / kConfig); });
  if (snapshots.empty())
    return Status{Code::kNotFound,
                  fmt::format("{} {} is a folder of a hub's cache whose download is unfinished: no "
                              "snapshot in it holds a {}; download the checkpoint again",
                              flag, folder.string(), kConfig),
                  flag};
  std::error_code ignored;
  const fs::path newest = *std::ranges::max_element(
      snapshots, {}, [&](const fs::path& path) { return fs::last_write_time(path, ignored); });
  ModelFolder found{newest, fmt::format("{} {}: its snapshot {}", flag, folder.string(),
                                        newest.filename().string())};
  if (!main.empty())
    found.warning = fmt::format("{} names the snapshot {}, which is not there: taking {}",
                                (folder / "refs/main").string(), main, newest.filename().string());
  else if (snapshots.size() > 1)
    found.warning = fmt::format("{} has {} snapshots and no refs/main: taking the newest, {}",
                                folder.string(), snapshots.size(), newest.filename().string());
  return found;
}

// Checkpoints below a folder: hubs' caches keep them up to three folders down.
std::vector<std::string> checkpoints_below(const fs::path& folder, int depth) {
  constexpr size_t kMost = 8;
  std::vector<std::string> found;
  for (const fs::path& child : folders_in(folder)) {
    if (found.size() >= kMost) break;
    if (is_present(child / kConfig) || is_hub_cache(child))
      found.push_back(child.string());
    else if (depth > 1)
      std::ranges::copy(checkpoints_below(child, depth - 1), std::back_inserter(found));
  }
  if (found.size() > kMost) found.resize(kMost);
  return found;
}

// Where a model of the hubs may lie already, if "org/name" was given.
std::vector<fs::path> cached_places(const std::string& id, const HubCaches& caches) {
  std::vector<fs::path> places;
  const size_t slash = id.find('/');
  if (slash == std::string::npos || slash == 0 || id.find('/', slash + 1) != std::string::npos ||
      id.starts_with('.'))
    return places;
  const std::string hub = "models--" + id.substr(0, slash) + "--" + id.substr(slash + 1);
  for (const fs::path& cache : caches.hugging_face) places.push_back(cache / hub);
  std::string scope = id;  // ModelScope spells a dot so
  for (size_t at = scope.find('.'); at != std::string::npos; at = scope.find('.', at + 3))
    scope.replace(at, 1, "___");
  for (const fs::path& cache : caches.modelscope)
    places.insert(places.end(), {cache / id, cache / scope});
  return places;
}

Status not_there(const fs::path& named, const std::string& flag, const HubCaches& caches) {
  for (const fs::path& place : cached_places(named.string(), caches))
    if (is_folder(place))
      return {Code::kNotFound,
              fmt::format("{} {}: no such folder, and erne downloads nothing; it is in a cache "
                          "already: {} {}",
                          flag, named.string(), flag, place.string()),
              flag};
  return {Code::kNotFound,
          fmt::format("{} {}: no such folder; download the checkpoint first and name the folder "
                      "that holds its config.json",
                      flag, named.string()),
          flag};
}

Status no_folder(const fs::path& named, const std::string& flag) {
  const fs::path parent = named.has_parent_path() ? named.parent_path() : fs::path(".");
  const bool is_gguf = named.extension() == ".gguf";
  return invalid(fmt::format("{} {} is no folder: {}", flag, named.string(),
                             is_gguf ? "erne reads checkpoints in safetensors, not GGUF; name the "
                                       "folder of the one it was made of"
                             : is_present(parent / kConfig)
                                 ? fmt::format("name its folder, {} {}", flag, parent.string())
                                 : "name a folder that holds a config.json and weights"),
                 flag);
}

}  // namespace

bool is_hub_cache(const fs::path& folder) {
  return is_folder(folder / "snapshots");
}

Result<ModelFolder> find_model_folder(const fs::path& named, const std::string& flag,
                                      const HubCaches& caches) {
  if (!is_present(named)) return not_there(named, flag, caches);
  if (!is_folder(named)) return no_folder(named, flag);
  if (is_present(named / kConfig)) return ModelFolder{named};
  if (is_hub_cache(named)) return snapshot_of(named, flag);
  constexpr int kDepth = 3;
  const std::vector<std::string> below = checkpoints_below(named, kDepth);
  const std::string none = fmt::format("{} {} holds no {}", flag, named.string(), kConfig);
  if (below.size() == 1)
    return Status{
        Code::kNotFound,
        fmt::format("{}, but {} looks like a checkpoint: {} {}", none, below[0], flag, below[0]),
        flag};
  if (!below.empty())
    return Status{
        Code::kNotFound,
        fmt::format("{}; it holds several checkpoints, name one: {}", none, fmt::join(below, ", ")),
        flag};
  if (is_present(named / kSingleFile) || is_present(named / kIndexFile))
    return Status{Code::kNotFound,
                  fmt::format("{}, though it holds weights: copy it from the model that they were "
                              "made of",
                              none),
                  flag};
  const Status other = describe_no_weights(named);
  return Status{Code::kNotFound, fmt::format("{}: {}", none, other.message), flag};
}

}  // namespace erne::weights
