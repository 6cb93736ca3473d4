// Weights as a back end has packed them, in a file: safetensors, first of all "key", a text that
// says what they are, then for each weight its bytes as one tensor of a type that says what it was
// read as (U8: quantised), and last "checksums" (content_hash.h): 8 bytes each for the header, the
// key, every weight in order, padding included, and the checksums before. Each begins at a multiple
// of 64 bytes, so that a mapped file can be used where it lies.
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
  // kNotFound: there is none. Header, key and checksums have been compared; weights are when they
  // are read.
  static Result<PackedFile> open(const std::filesystem::path& path);

  const std::string& key() const { return key_; }
  // nullptr: no such weight.
  const StoredType* type(const std::string& name) const;
  // Reads a weight through and compares its checksum.
  Result<void> verify(const std::string& name, size_t bytes) const;
  // Valid while this object, or the one it was moved to, lives. Not compared.
  Result<std::span<const std::byte>> find(const std::string& name, size_t bytes) const;
  // Uploads a weight's bytes, some at a time, lets go of the pages it has read, and compares the
  // checksum of what it has uploaded.
  Result<void> read(const std::string& name, Backend& backend, DeviceSpan to) const;

 private:
  struct Entry {
    const StoredType* type;
    std::span<const std::byte> bytes;
    uint64_t checksum;
  };
  explicit PackedFile(MappedFile file) : file_(std::move(file)) {}

  // `tensors`: of the file, in order.
  Result<void> read_checksums(std::span<const StoredTensor> tensors);
  Result<const Entry*> entry(const std::string& name, size_t bytes) const;

  MappedFile file_;
  std::string key_;
  std::map<std::string, Entry> weights_;
};

// Reads all weights of the plans into memory of the back end's own.
Result<WeightStore> read_weights(const PackedFile& file, Backend& backend,
                                 std::span<const WeightPlan> plans, const LoadOptions& options);

// Makes a file, unless it fails: it is written beside its place, brought to the disk and then
// renamed (new_file.h), so that no reader ever sees half of one. `bytes_of` is asked for each
// weight in turn; what it returns must last until it is asked again.
Result<void> write_packed_file(
    const std::filesystem::path& path, std::span<const WeightPlan> plans, std::string_view key,
    const std::function<Result<std::span<const std::byte>>(const WeightPlan&)>& bytes_of);

}  // namespace erne::weights
