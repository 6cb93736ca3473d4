#include "base/log_writer.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string_view>
#include <utility>

namespace erne {
namespace {

// What a pipe that poll() calls writable takes without waiting.
constexpr size_t kWriteBytes = 4096;
constexpr int kPollMs = 100;

}  // namespace

LogWriter::LogWriter(int fd, size_t max_waiting_bytes)
    : fd_(fd), max_waiting_bytes_(max_waiting_bytes) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LogWriter::~LogWriter() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LogWriter::add(const std::string& line) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() + line.size() + 1 > max_waiting_bytes_) {
      ++num_dropped_;
      return;
    }
    waiting_ += line;
    waiting_ += '\n';
  }
  changed_.notify_all();
}

bool LogWriter::flush(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return waiting_.empty() && !writing_; });
}

void LogWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    writing_ = false;
    changed_.notify_all();
    changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
    if (stopped_) return;
    std::string text = std::exchange(waiting_, {});
    if (const size_t dropped = std::exchange(num_dropped_, 0); dropped > 0)
      text += fmt::format("({} lines of the log were dropped here: nobody read them in time)\n",
                          dropped);
    writing_ = true;
    lock.unlock();
    write_out(text);
    lock.lock();
  }
}

void LogWriter::write_out(const std::string& text) {
  std::string_view left = text;
  while (!left.empty()) {
    pollfd ready{fd_, POLLOUT, 0};
    const int num_ready = ::poll(&ready, 1, kPollMs);
    if (num_ready == 0) {
      std::lock_guard lock(mutex_);
      if (stopped_) return;
      continue;
    }
    const ssize_t count = ::write(fd_, left.data(), std::min(left.size(), kWriteBytes));
    if (count <= 0) return;  // the reader is gone
    left.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace erne
