// The threads inside one op. parallel_for hands out tasks one by one; the caller works too, and
// waits only for tasks that somebody has begun, so a worker that the system has put aside costs
// nothing. A waiting thread spins for kSpinUs and then sleeps: many more runnable threads than
// cores do no harm.
//
// Workers are bound to CPUs, each to one that the caller is not on, and follow when the caller has
// been moved: left alone, the system of a busy machine wakes them on the caller's own CPU and there
// they wait for it. With more threads than CPUs nothing is bound.
//
// Tasks run with denormals flushed to zero and rounding to nearest, whatever the caller's mode is;
// the caller gets its own back. One thread at a time calls parallel_for.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace erne::cpu {

class ThreadPool {
 public:
  static constexpr int kSpinUs = 20;

  explicit ThreadPool(int threads);  // the caller included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // body(task, worker) for each task in [0, num_tasks), worker in [0, threads()). Returns when all
  // are done, and sees what they wrote.
  template <class Body>
  void parallel_for(int64_t num_tasks, const Body& body) {
    run(num_tasks, {&body, [](const void* object, int64_t task, int worker) {
                      (*static_cast<const Body*>(object))(task, worker);
                    }});
  }

 private:
  struct Job {
    const void* object;
    void (*call)(const void* object, int64_t task, int worker);
  };

  void run(int64_t num_tasks, Job job);
  void work(int worker);
  // Takes tasks of the present job until none is left.
  void take_tasks(int worker);
  void wait_until_done();
  void place_workers();
  void end_workers();

  std::vector<std::thread> workers_;
  std::vector<int> cpus_;  // that this process may use
  int caller_cpu_ = -1;    // when the workers were placed
  Job job_ = {};
  // Tasks of the present job and the next one to take, in one word: whoever raises `next` by a
  // compare-exchange owns a task of the job that is in job_ now, because a job ends only when all
  // its tasks are done.
  alignas(64) std::atomic<uint64_t> tickets_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  // Jobs posted, times two, plus one at the end: the one word that workers wait for, so that none
  // can miss the end between two of them.
  alignas(64) std::atomic<uint32_t> posts_{0};
};

}  // namespace erne::cpu
