// A file that appears under its name only when it is whole and on the disk, whatever ends the
// process or the machine before. It is written beside its place, as <name>.<n>.unfinished, which
// its writer holds locked.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace erne::weights {

class NewFile {
 public:
  // In a folder that exists. No link is followed, and nothing that exists is written into: a file
  // of this name is replaced in the end. Errors say why in the system's words.
  static Result<NewFile> create(const std::filesystem::path& path);

  NewFile(NewFile&& other) noexcept
      : path_(std::move(other.path_)),
        unfinished_(std::move(other.unfinished_)),
        fd_(std::exchange(other.fd_, -1)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();  // removes it, unless it is finished

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  // Brings everything to the disk, the name last.
  Result<void> finish();

 private:
  NewFile(std::filesystem::path path, std::filesystem::path unfinished, int fd)
      : path_(std::move(path)), unfinished_(std::move(unfinished)), fd_(fd) {}

  std::filesystem::path path_, unfinished_;
  int fd_;
};

// Removes what writers that ended early have left in a folder; not what one is writing still.
void remove_unfinished(const std::filesystem::path& folder);

}  // namespace erne::weights
