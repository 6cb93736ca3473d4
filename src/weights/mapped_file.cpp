#include "weights/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

namespace erne::weights {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const auto failed = [&](const char* what) {
    const Code code = errno == ENOENT ? Code::kNotFound : Code::kInvalid;
    return Status{code, fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(errno))};
  };
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block us
  if (fd < 0) return failed("open");

  struct stat info = {};
  void* data = nullptr;
  std::optional<Status> error;
  if (::fstat(fd, &info) != 0) {
    error = failed("stat");
  } else if (!S_ISREG(info.st_mode)) {
    error = invalid(fmt::format("{} is not a regular file", path.string()));
  } else if (info.st_size > 0) {
    data = ::mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) error = failed("map");
  }
  ::close(fd);
  if (error) return *error;
  return MappedFile({static_cast<const std::byte*>(data), static_cast<size_t>(info.st_size)});
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void drop_pages(std::span<const std::byte> bytes) {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t at = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (at + page - 1) / page * page, end = (at + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace erne::weights
