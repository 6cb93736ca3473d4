#include "weights/checkpoint.h"

#include <fmt/format.h>

#include <set>

#include "base/json.h"
#include "base/json_file.h"

namespace erne::weights {
namespace {

using WeightMap = std::map<std::string, std::string, std::less<>>;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = 16 << 20;
constexpr size_t kMaxShards = 4096;
constexpr int kIndexDepth = 8;

// A plain name of a safetensors file: no folder, no way out of this one.
bool is_shard_name(std::string_view name) {
  return name.size() <= 255 && name.ends_with(".safetensors") && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

bool is_present(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// FastDeploy keeps what it has cut for several ranks in folders of theirs.
Status no_weights_in(const std::filesystem::path& folder) {
  int ranks = 0;
  while (is_present(folder / fmt::format("rank{}", ranks))) ++ranks;
  if (ranks > 0)
    return unsupported(
        fmt::format("{} is cut for {} tensor-parallel ranks (rank0 to rank{}): it can only be "
                    "served by that many, and erne has one so far; use a checkpoint that is whole",
                    folder.string(), ranks, ranks - 1),
        "model");
  return {Code::kNotFound,
          fmt::format("{} holds neither {} nor {}", folder.string(), kSingleFile, kIndexFile)};
}

}  // namespace

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

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  Checkpoint checkpoint(folder);
  if (const auto index = folder / kIndexFile; is_present(index)) {
    TRY(checkpoint.open_index(index));
  } else if (is_present(folder / kSingleFile)) {
    TRY(checkpoint.add_file(kSingleFile));
  } else {
    return no_weights_in(folder);
  }
  return checkpoint;
}

Result<void> Checkpoint::open_index(const std::filesystem::path& index_path) {
  const MappedFile file = TRY(MappedFile::open(index_path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  const Result<WeightMap> parsed = parse_safetensors_index(text);
  if (!parsed)
    return invalid(fmt::format("{}: {}", index_path.string(), parsed.status().message),
                   parsed.status().param);

  std::set<std::string> shards;
  for (const auto& [tensor, shard] : *parsed) {
    if (shards.size() == kMaxShards)
      return invalid(fmt::format("{}: found more than {} files", index_path.string(), kMaxShards));
    if (shards.insert(shard).second && !is_present(folder_ / shard))
      return Status{Code::kNotFound,
                    fmt::format("tensor {}: expected in {}, which is missing from {}",
                                quote_name(tensor), quote_name(shard), folder_.string()),
                    tensor};
  }
  for (const std::string& shard : shards) {
    const std::vector<std::string> names = TRY(add_file(shard));
    for (const std::string& tensor : names)
      if (const auto named = parsed->find(tensor); named == parsed->end() || named->second != shard)
        return invalid(
            fmt::format(
                "tensor {}: found in {}, expected {} by {}", quote_name(tensor), quote_name(shard),
                named == parsed->end() ? "nowhere" : "in " + quote_name(named->second), kIndexFile),
            tensor);
  }
  for (const auto& [tensor, shard] : *parsed)
    if (!tensors_.contains(tensor))
      return invalid(fmt::format("tensor {}: expected in {} by {}, which does not hold it",
                                 quote_name(tensor), quote_name(shard), kIndexFile),
                     tensor);
  return {};
}

Result<std::vector<std::string>> Checkpoint::add_file(const std::string& name) {
  MappedFile file = TRY(MappedFile::open(folder_ / name));
  Result<std::vector<StoredTensor>> header = parse_safetensors_header(file.bytes());
  if (!header)
    return invalid(fmt::format("{}: {}", (folder_ / name).string(), header.status().message),
                   header.status().param);
  std::vector<std::string> names;
  for (StoredTensor& tensor : *header) {
    const std::byte* data = file.bytes().data() + tensor.begin;
    tensors_.emplace(tensor.name, CheckpointTensor{tensor.type, tensor.shape, data, name});
    names.push_back(std::move(tensor.name));
  }
  std::error_code ignored;
  const auto changed = std::filesystem::last_write_time(folder_ / name, ignored);
  identity_ +=
      fmt::format("{} {} {}\n", name, file.bytes().size(), changed.time_since_epoch().count());
  files_.push_back(std::move(file));
  return names;
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace erne::weights
