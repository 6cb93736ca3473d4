// A few threads for work of one kind. Clients take turns, and one client's tasks run in the order
// of their arrival; while others wait, no client has all the threads. A task that has waited longer
// than it may is told so instead of being run.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace erne::server {

class WorkPool {
 public:
  struct Task {
    std::string client;  // whose turn it takes; "": nobody's in particular
    std::function<void()> run;
    std::function<void()> give_up = nullptr;  // runs instead after too long a wait: be quick
  };

  static constexpr std::chrono::milliseconds kForEver{0};

  WorkPool(int num_threads, std::chrono::milliseconds max_wait);
  ~WorkPool() { stop(); }

  // From any thread. After stop() tasks are dropped.
  void post(Task task);
  // Waits for the tasks being run; drops the others. Not from a task.
  void stop();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Waiting {
    Task task;
    Time since;
  };
  // A client is in `clients_` while tasks of it wait or run, and in `turns_` while some wait.
  struct Client {
    std::deque<Waiting> waiting;
    int num_running = 0;
  };
  using Turns = std::list<std::string>;

  void run();
  void watch();
  Turns::iterator next_turn();
  Task take(Turns::iterator turn);
  void done_with(const std::string& client);
  std::vector<Task> take_overdue();

  const int num_threads_;
  const std::chrono::milliseconds max_wait_;
  std::mutex mutex_;
  std::condition_variable ready_;         // a task may have become runnable
  std::condition_variable watch_begins_;  // the first task waits, or it is over
  std::unordered_map<std::string, Client> clients_;
  Turns turns_;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace erne::server
