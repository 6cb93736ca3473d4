#include "server/work_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <new>
#include <string>

namespace erne::server {
namespace {

using ::testing::ElementsAre;

// A pool whose tasks note who they are, the first of them once the gate opens.
class Turns {
 public:
  explicit Turns(int num_threads, std::chrono::milliseconds max_wait = WorkPool::kForEver)
      : pool_(num_threads, max_wait) {}

  void block(const std::string& client) {
    std::promise<void> begun;
    auto running = begun.get_future();
    pool_.post({client, [this, &begun] {
                  begun.set_value();
                  gate_.get_future().wait();
                }});
    running.wait();
  }
  void post(const std::string& client, std::function<void()> give_up = nullptr) {
    pool_.post({client, [this, client] { note(client); }, std::move(give_up)});
  }
  void open() { gate_.set_value(); }
  std::vector<std::string> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    noted_.wait(lock, [&] { return order_.size() == count; });
    return order_;
  }
  WorkPool& pool() { return pool_; }

 private:
  void note(const std::string& client) {
    std::lock_guard lock(mutex_);
    order_.push_back(client);
    noted_.notify_all();
  }

  std::promise<void> gate_;
  std::mutex mutex_;
  std::condition_variable noted_;
  std::vector<std::string> order_;
  WorkPool pool_;
};

TEST(WorkPool, ClientsTakeTurns) {
  Turns turns(1);
  turns.block("a");
  for (int i = 0; i < 3; ++i) turns.post("a");
  turns.post("b");
  turns.post("c");
  turns.post("b");
  turns.open();
  EXPECT_THAT(turns.wait_for(6), ElementsAre("a", "b", "c", "a", "b", "a"));
}

TEST(WorkPool, OneClientNeverHasEveryThread) {
  Turns turns(2);
  turns.block("hog");
  turns.post("hog");  // may not have the second thread
  turns.post("other");
  EXPECT_THAT(turns.wait_for(1), ElementsAre("other"));
  turns.open();
  EXPECT_THAT(turns.wait_for(2), ElementsAre("other", "hog"));
}

TEST(WorkPool, NobodyInParticularMayHaveEveryThread) {
  Turns turns(2);
  turns.block("");
  turns.post("");
  EXPECT_THAT(turns.wait_for(1), ElementsAre(""));
  turns.open();
}

TEST(WorkPool, WhatWaitsTooLongIsGivenUpAndNeverRun) {
  Turns turns(1, std::chrono::milliseconds(40));
  turns.block("a");
  std::promise<void> given_up;
  turns.post("a", [&] { given_up.set_value(); });
  turns.post("b");  // waits as long as it takes
  given_up.get_future().wait();
  turns.open();
  EXPECT_THAT(turns.wait_for(1), ElementsAre("b"));
  turns.post("a");
  EXPECT_THAT(turns.wait_for(2), ElementsAre("b", "a"));
}

TEST(WorkPool, ATaskThatThrowsEndsItself) {
  Turns turns(1);
  turns.pool().post({"a", [] { throw std::bad_alloc(); }});
  turns.post("a");
  EXPECT_THAT(turns.wait_for(1), ElementsAre("a"));
}

TEST(WorkPool, StoppingDropsWhatWaitsAndLaterTasks) {
  auto alive = std::make_shared<int>(1);
  WorkPool pool(1, WorkPool::kForEver);
  std::promise<void> begun, gate;
  pool.post({"a", [&] {
               begun.set_value();
               gate.get_future().wait();
             }});
  begun.get_future().wait();
  pool.post({"a", [alive] { FAIL(); }});
  std::jthread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    gate.set_value();
  });
  pool.stop();
  pool.post({"a", [alive] { FAIL(); }});
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace erne::server
