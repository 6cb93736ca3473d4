#include "base/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace erne {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::string reason() {
  return std::generic_category().message(errno);
}

constexpr size_t kMaxShownBytes = 300;

std::string refusal(std::string_view what, const std::string& path, const std::string& why) {
  const char* more = path.size() > kMaxShownBytes ? "..." : "";
  return fmt::format("{} {}{}: {}", what, path.substr(0, kMaxShownBytes), more, why);
}

Status refused(std::string_view what, const std::string& path, const std::string& why) {
  return invalid(refusal(what, path, why), std::string(what));
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

Result<std::string> read_text_file(const std::string& path, size_t max_bytes,
                                   std::string_view what) {
  // A pipe without a writer would hold up an open() that blocks.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open())
    return Status{Code::kNotFound, refusal(what, path, "cannot be read: " + reason()),
                  std::string(what)};
  struct stat found{};
  if (::fstat(file.get(), &found) != 0) return refused(what, path, reason());
  if (!S_ISREG(found.st_mode))
    return refused(what, path, fmt::format("is {}; name a file", kind_of(found.st_mode)));
  // A file may grow, and those of /proc say 0: what is read counts.
  std::string bytes;
  for (;;) {
    const size_t old = bytes.size();
    if (old > max_bytes)
      return refused(what, path, fmt::format("has more than the allowed {} bytes", max_bytes));
    bytes.resize(old + std::min<size_t>(max_bytes + 1 - old, 64 << 10));
    const ssize_t count = ::read(file.get(), bytes.data() + old, bytes.size() - old);
    if (count < 0 && errno != EINTR) return refused(what, path, "cannot be read: " + reason());
    bytes.resize(old + std::max<ssize_t>(count, 0));
    if (count == 0) return bytes;
  }
}

Result<void> write_new_file(const std::string& path, std::string_view bytes,
                            std::string_view what) {
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file.is_open()) return refused(what, path, "cannot be made: " + reason());
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return refused(what, path, "cannot be written: " + reason());
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  if (::fsync(file.get()) != 0) return refused(what, path, "cannot be written: " + reason());
  return {};
}

}  // namespace erne
