// A folder of safetensors files as one set of named tensors: either model.safetensors, or the
// shards that model.safetensors.index.json names. Everything is validated by `open`; no tensor's
// data is read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"

namespace erne::weights {

struct CheckpointTensor {
  const StoredType* type = nullptr;
  Shape shape;
  const std::byte* data = nullptr;  // mapped; row-major; may be unaligned
  std::string file;                 // its name in the folder
};

class Checkpoint {
 public:
  // With both an index and a model.safetensors, the index decides. An index must name exactly the
  // tensors of its shards, and shards that lie in the folder itself.
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  const CheckpointTensor* find(std::string_view name) const;  // nullptr: none
  const std::map<std::string, CheckpointTensor, std::less<>>& tensors() const { return tensors_; }
  const std::filesystem::path& folder() const { return folder_; }
  // Name, size and time of change of each file: another checkpoint, or this one changed, differs.
  const std::string& identity() const { return identity_; }

 private:
  explicit Checkpoint(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<void> open_index(const std::filesystem::path& index_path);
  // Adds the tensors of one file and returns their names.
  Result<std::vector<std::string>> add_file(const std::string& name);

  std::filesystem::path folder_;
  std::vector<MappedFile> files_;
  std::string identity_;
  std::map<std::string, CheckpointTensor, std::less<>> tensors_;
};

// `name` -> file of an index's text. Refuses file names that could leave the folder.
Result<std::map<std::string, std::string, std::less<>>> parse_safetensors_index(
    std::string_view text);

}  // namespace erne::weights
