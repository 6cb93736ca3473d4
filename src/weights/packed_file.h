// Weights as a back end has packed them, in a file: safetensors, first of all "key", a text that
// says what they are, then for each weight its bytes as one tensor of a type that says what it was
// read as (U8: quantised). Each begins at a multiple of 64 bytes, so that a mapped file can be used
// where it lies.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "weights/mapped_file.h"
#include "weights/safetensors_header.h"
#include "weights/weight_store.h"

namespace erne::weights {

class PackedFile {
 public:
  // kNotFound: there is none.
  static Result<PackedFile> open(const std::filesystem::path& path);

  const std::string& key() const { return key_; }
  // nullptr: no such weight.
  const StoredType* type(const std::string& name) const;
  // Valid while this object, or the one it was moved to, lives.
  Result<std::span<const std::byte>> find(const std::string& name, size_t bytes) const;
  // Uploads a weight's bytes, some at a time, and lets go of the pages it has read.
  Result<void> read(const std::string& name, Backend& backend, DeviceSpan to) const;

 private:
  struct Entry {
    const StoredType* type;
    std::span<const std::byte> bytes;
  };
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::string key_;
  std::map<std::string, Entry> weights_;
};

// Makes a file, unless it fails: it is written beside its place and then renamed, so that no reader
// ever sees half of one. `bytes_of` is asked for each weight in turn; what it returns must last
// until it is asked again.
Result<void> write_packed_file(
    const std::filesystem::path& path, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of);

}  // namespace erne::weights
