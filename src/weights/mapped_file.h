// A regular file's bytes, read-only, mapped.
//
// Whoever cuts a mapped file short takes the bytes from under us: the processor then faults
// (SIGBUS) wherever they are touched, in a kernel's inner loop as well, and there is no way on. The
// first open() installs a handler that ends the process with a sentence which names the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "base/status.h"

namespace erne::weights {

class MappedFile {
 public:
  // Errors name the path. A pipe, a device or a folder is refused without being read.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile();

  // Valid while this object (or the one it was moved to) lives.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

// Takes whole pages of a mapped file out of this process's memory; the system's cache of the file
// keeps them, and touching them again brings them back.
void drop_pages(std::span<const std::byte> bytes);

}  // namespace erne::weights
