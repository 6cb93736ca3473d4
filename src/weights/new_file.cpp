#include "weights/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace erne::weights {
namespace {

constexpr const char* kEnd = ".unfinished";

Status system_error() {
  return invalid(std::strerror(errno));
}

// Makes what was done to a folder's names last.
Result<void> sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error();
  // Some file systems know no such thing, and need none.
  const bool failed = ::fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
  const Status error = system_error();
  ::close(fd);
  if (failed) return error;
  return {};
}

}  // namespace

Result<NewFile> NewFile::create(const std::filesystem::path& path) {
  constexpr int kMostTries = 100;  // others may be writing the same file
  for (int i = 0; i < kMostTries; ++i) {
    const std::filesystem::path unfinished = fmt::format("{}.{}{}", path.string(), i, kEnd);
    const int fd =
        ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return system_error();
    ::flock(fd, LOCK_EX | LOCK_NB);  // it is ours alone; where locks are unknown, nobody cleans up
    return NewFile(path, unfinished, fd);
  }
  return invalid(fmt::format("{} unfinished files lie in its place", kMostTries));
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::unlink(unfinished_.c_str());
  ::close(fd_);
}

Result<void> NewFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error();
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> NewFile::finish() {
  if (::fsync(fd_) != 0) return system_error();
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) return system_error();
  ::close(std::exchange(fd_, -1));
  return sync_folder(path_.parent_path());
}

void remove_unfinished(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().filename().string().ends_with(kEnd)) found.push_back(entry.path());
  for (const std::filesystem::path& path : found) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
    ::close(fd);
  }
}

}  // namespace erne::weights
