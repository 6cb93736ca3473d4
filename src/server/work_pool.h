// The text threads: parsing, templates and tokenising before a request is submitted, detokenising
// and writing afterwards. Tasks run in order of arrival, any number at a time.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace erne::server {

class WorkPool {
 public:
  explicit WorkPool(int num_threads);
  ~WorkPool() { stop(); }

  // From any thread. After stop() tasks are dropped.
  void post(std::function<void()> task);
  // Waits for the tasks being run; drops the others. Not from a task.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace erne::server
