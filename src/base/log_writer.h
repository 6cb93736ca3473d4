// Writes lines to a file descriptor on a thread of its own, so that a reader who does not read (a
// pipe that nobody empties, a stopped terminal) holds nobody up: what does not fit the room for
// waiting lines is dropped and counted. The thread takes no signals.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

namespace erne {

class LogWriter {
 public:
  LogWriter(int fd, size_t max_waiting_bytes);
  ~LogWriter();  // drops what waits

  void add(const std::string& line);  // from any thread; without the line's end
  // Waits until everything added before is written, but no longer than so: whether it was.
  bool flush(std::chrono::milliseconds patience);

 private:
  void run();
  void write_out(const std::string& text);

  const int fd_;
  const size_t max_waiting_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string waiting_;
  size_t num_dropped_ = 0;
  bool writing_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace erne
