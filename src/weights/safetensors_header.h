// The header of a safetensors file, validated as a whole before any of it is used. The format:
// https://github.com/huggingface/safetensors (README, "Format"): a little-endian u64 length, that
// many bytes of JSON, then the tensors' data.
//
// Stricter than it must be, so that nothing can hide in a file: every byte of the data section
// belongs to exactly one tensor (no gap, no overlap, nothing behind the last), as in files of the
// reference writer. Time and memory are bounded by kMaxHeaderBytes whatever the header says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/tensor_view.h"

namespace erne::weights {

inline constexpr uint64_t kMaxHeaderBytes = 16 << 20;  // about 100,000 tensors
inline constexpr size_t kMaxTensorNameBytes = 512;

struct StoredType {
  const char* name;  // as in the file: "BF16"
  int bytes;         // per element
};

struct StoredTensor {
  std::string name;
  const StoredType* type = nullptr;  // nullptr: see unreadable
  Shape shape = {};
  uint64_t begin = 0, end = 0;  // in the file
  // Why it cannot be read, where its type is unknown or it has more dimensions than a Shape: it is
  // for another model or a newer format, and only whoever needs it has to fail.
  std::string unreadable = {};
};

// `file` is the whole file. The tensors come in the order of their data. An error's param is the
// tensor's name.
Result<std::vector<StoredTensor>> parse_safetensors_header(std::span<const std::byte> file);

// A name out of a file, fit to print: quoted, escaped, cut.
std::string quote_name(std::string_view name);
// The first few of them, so that a line stays a line.
std::string quote_names(const std::vector<std::string>& names);

// The few lines of text that Git leaves in place of a large file that it did not download.
bool is_lfs_pointer(std::span<const std::byte> file);

}  // namespace erne::weights
