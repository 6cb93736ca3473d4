// A folder of safetensors files as one set of named tensors, under the names that checkpoints of
// this family have (tensor_names.h). Headers are validated by `open`; no tensor's data is read.
//
// What the model turns out not to need must not stop a start: tensors of unknown types, tensors
// that only an index names, files beside those that count. `warnings` says what was passed over,
// and `why_missing` what is known of a tensor that is not there, for whoever needs it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "weights/checkpoint_files.h"
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
  // Opens the files of find_weight_files(). Where two of them hold a tensor of one name, the index
  // decides; without one that is an error.
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  const CheckpointTensor* find(std::string_view name) const;  // nullptr: none that can be read
  const std::map<std::string, CheckpointTensor, std::less<>>& tensors() const { return tensors_; }
  // Names of tensors that are there and cannot be read.
  std::vector<std::string> unreadable() const;
  // Empty where nothing is known; else to go on with after the tensor's name.
  std::string why_missing(std::string_view name) const;
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& notes() const { return notes_; }  // likewise, harmless

  const std::filesystem::path& folder() const { return folder_; }
  // Which files they are (device and inode) and when they were last changed, by the system's own
  // time (ctime), which no tool can set back: as long as this is the same, so is what they hold.
  // Empty where that cannot be told: a file is gone, or was changed less than a few seconds before
  // `now` (seconds since 1970), so that another change might bear the same time.
  std::string identity(int64_t now) const;
  // A hash of every byte of the files: reads them all, and keeps none of their pages.
  uint64_t fingerprint() const;
  size_t file_bytes() const;

 private:
  struct Absent {
    std::string why;
    bool is_stored = false;  // it is there, and cannot be read
  };

  explicit Checkpoint(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<void> add_file(const std::string& name, const WeightMap& index);
  Result<void> add_tensor(const StoredTensor& tensor, const MappedFile& file,
                          const std::string& file_name, const WeightMap& index);
  // What the index says of tensors that were found elsewhere or nowhere, or does not say.
  void compare(const WeightFiles& found);
  void apply_usual_names();

  std::filesystem::path folder_;
  std::vector<MappedFile> files_;
  std::vector<std::string> file_names_;  // of files_
  std::map<std::string, CheckpointTensor, std::less<>> tensors_;
  std::map<std::string, Absent, std::less<>> absent_;
  std::vector<std::string> warnings_, notes_;
};

}  // namespace erne::weights
