#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>

#include "base/log_writer.h"

namespace erne {
namespace {

constexpr size_t kMaxWaitingBytes = size_t{1} << 20;
constexpr std::chrono::milliseconds kFlushPatience{500};

struct LevelName {
  const char* text;
  const char* colour;  // on a terminal
};
constexpr LevelName kLevelNames[] = {
    {"debug", "\033[36m"}, {"info", "\033[32m"}, {"warning", "\033[33m"}, {"error", "\033[31m"}};

std::atomic<LogLevel> least_level = LogLevel::kInfo;

// Never destroyed: threads may log to the end. What waits then is given its time by the exit.
LogWriter& writer() {
  static LogWriter* const instance = [] {
    auto* made = new LogWriter(STDERR_FILENO, kMaxWaitingBytes);
    std::atexit(flush_log);
    return made;
  }();
  return *instance;
}

std::string time_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto since = now.time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  std::tm local;
  localtime_r(&seconds, &local);
  char text[40];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
  return fmt::format("{}.{:03}", std::string_view(text, size), ms);
}

}  // namespace

void set_log_level(LogLevel level) {
  least_level = level;
}

void log_line(LogLevel level, const std::string& text) {
  static const bool on_terminal = ::isatty(STDERR_FILENO) == 1;
  if (level < least_level) return;
  const LevelName& name = kLevelNames[static_cast<int>(level)];
  writer().add(on_terminal
                   ? fmt::format("{} {}{}\033[m {}", time_text(), name.colour, name.text, text)
                   : fmt::format("{} {} {}", time_text(), name.text, text));
}

void flush_log() {
  writer().flush(kFlushPatience);
}

}  // namespace erne
