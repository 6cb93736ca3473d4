#include "server/work_pool.h"

#include <algorithm>
#include <exception>

#include "base/check.h"
#include "base/log.h"

namespace erne::server {
namespace {

constexpr int kLooksPerWait = 8;  // how exactly a wait's end is noticed

}  // namespace

WorkPool::WorkPool(int num_threads, std::chrono::milliseconds max_wait)
    : num_threads_(num_threads), max_wait_(max_wait) {
  CHECK_GT(num_threads, 0);
  try {
    for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { run(); });
    if (max_wait_ > kForEver) threads_.emplace_back([this] { watch(); });
  } catch (...) {  // the system has no more threads: those that began wait for tasks
    stop();
    throw;
  }
}

void WorkPool::post(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    Client& client = clients_[task.client];
    if (client.waiting.empty()) turns_.push_back(task.client);
    client.waiting.push_back({std::move(task), std::chrono::steady_clock::now()});
  }
  ready_.notify_one();
  watch_begins_.notify_one();
}

void WorkPool::stop() {
  std::unordered_map<std::string, Client> dropped;  // without the lock: a task may own anything
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(clients_);
    turns_.clear();
  }
  ready_.notify_all();
  watch_begins_.notify_all();
  threads_.clear();
}

// The first client that waits and does not have as many threads as it may; others may wait, too, so
// one thread always stays for them, where there are several.
WorkPool::Turns::iterator WorkPool::next_turn() {
  const int most = std::max(1, num_threads_ - 1);
  return std::find_if(turns_.begin(), turns_.end(), [&](const std::string& client) {
    return client.empty() || clients_[client].num_running < most;
  });
}

// The client's next turn comes after everybody else's.
WorkPool::Task WorkPool::take(Turns::iterator turn) {
  Client& client = clients_[*turn];
  Task task = std::move(client.waiting.front().task);
  client.waiting.pop_front();
  ++client.num_running;
  client.waiting.empty() ? void(turns_.erase(turn)) : turns_.splice(turns_.end(), turns_, turn);
  return task;
}

void WorkPool::done_with(const std::string& name) {
  const auto found = clients_.find(name);
  if (found == clients_.end()) return;  // stopped
  Client& client = found->second;
  if (--client.num_running == 0 && client.waiting.empty()) clients_.erase(found);
}

void WorkPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    auto turn = turns_.end();
    ready_.wait(lock, [&] { return stopped_ || (turn = next_turn()) != turns_.end(); });
    if (stopped_) return;
    Task task = take(turn);
    lock.unlock();
    try {
      task.run();
    } catch (const std::exception& error) {  // a bug of the task's, and no reason to end
      log_error("a task failed: {}", error.what());
    }
    const std::string client = std::move(task.client);
    task = {};
    lock.lock();
    done_with(client);
    if (!turns_.empty()) ready_.notify_one();  // that client may have another thread now
  }
}

void WorkPool::watch() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (turns_.empty()) {
      watch_begins_.wait(lock);
      continue;
    }
    watch_begins_.wait_for(lock, max_wait_ / kLooksPerWait, [this] { return stopped_; });
    const std::vector<Task> overdue = take_overdue();
    lock.unlock();
    for (const Task& task : overdue) task.give_up();
    lock.lock();
  }
}

// A client's oldest task is its first.
std::vector<WorkPool::Task> WorkPool::take_overdue() {
  std::vector<Task> overdue;
  const Time latest = std::chrono::steady_clock::now() - max_wait_;
  for (auto turn = turns_.begin(); turn != turns_.end();) {
    const auto found = clients_.find(*turn);
    auto& waiting = found->second.waiting;
    while (!waiting.empty() && waiting.front().since < latest && waiting.front().task.give_up) {
      overdue.push_back(std::move(waiting.front().task));
      waiting.pop_front();
    }
    const auto next = std::next(turn);
    if (waiting.empty()) {
      if (found->second.num_running == 0) clients_.erase(found);
      turns_.erase(turn);
    }
    turn = next;
  }
  return overdue;
}

}  // namespace erne::server
