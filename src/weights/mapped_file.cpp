#include "weights/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

namespace erne::weights {
namespace {

// What the handler of SIGBUS may look at: it may neither lock nor allocate.
struct MappedRange {
  std::atomic<uintptr_t> begin = 0, end = 0;  // both 0: free
  std::array<char, 256> path = {};
};

// More files than this are mapped, too; of the rest the handler cannot say which one it was.
constexpr size_t kMostRanges = 4096;
std::array<MappedRange, kMostRanges> ranges;
std::mutex ranges_mutex;  // of those who write

void say(const char* text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

// Only calls that POSIX allows in a handler.
void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const MappedRange& range : ranges) {
    if (at < range.begin || at >= range.end) continue;
    say("erne: ");
    say(range.path.data());
    say(" was cut short while its bytes were in use, or its disk failed: ending. The files of a "
        "model must not be changed while it is served; put the file back and start again\n");
    ::_exit(1);
  }
  std::signal(signal, SIG_DFL);  // somebody else's: it strikes again, as it always would have
}

void install_handler() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

void remember(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  static std::once_flag once;
  std::call_once(once, install_handler);
  const std::lock_guard lock(ranges_mutex);
  for (MappedRange& range : ranges) {
    if (range.end != 0) continue;
    const std::string text = path.string().substr(0, range.path.size() - 1);
    std::ranges::copy(text, range.path.begin());
    range.path[text.size()] = '\0';
    range.begin = reinterpret_cast<uintptr_t>(bytes.data());
    range.end = range.begin + bytes.size();
    return;
  }
}

void forget(std::span<const std::byte> bytes) {
  const std::lock_guard lock(ranges_mutex);
  for (MappedRange& range : ranges)
    if (range.begin == reinterpret_cast<uintptr_t>(bytes.data())) range.begin = range.end = 0;
}

}  // namespace

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
  const std::span bytes(static_cast<const std::byte*>(data), static_cast<size_t>(info.st_size));
  if (!bytes.empty()) remember(bytes, path);
  return MappedFile(bytes);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  forget(bytes_);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void drop_pages(std::span<const std::byte> bytes) {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t at = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (at + page - 1) / page * page, end = (at + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace erne::weights
