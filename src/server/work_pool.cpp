#include "server/work_pool.h"

#include "base/check.h"

namespace erne::server {

WorkPool::WorkPool(int num_threads) {
  CHECK_GT(num_threads, 0);
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { run(); });
}

void WorkPool::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void WorkPool::stop() {
  std::deque<std::function<void()>> dropped;  // destroyed without the lock: a task may own anything
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(tasks_);
  }
  ready_.notify_all();
  threads_.clear();
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    ready_.wait(lock, [this] { return stopped_ || !tasks_.empty(); });
    if (stopped_) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace erne::server
