#include "cpu/machine/thread_pool.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>

#include "base/check.h"

namespace erne::cpu {
namespace {

// Rounding to nearest, all exceptions masked, denormal results and operands are zero.
constexpr unsigned kFloatMode = 0x1F80 | 0x8000 | 0x0040;

class ScopedFloatMode {
 public:
  ScopedFloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(kFloatMode); }
  ~ScopedFloatMode() { _mm_setcsr(saved_); }
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  unsigned saved_;
};

// What ThreadPool::posts_ is made of.
constexpr uint32_t kStop = 1, kOneJob = 2;

constexpr uint64_t pack_tickets(uint32_t num_tasks, uint32_t next) {
  return uint64_t{num_tasks} << 32 | next;
}

// Polls until `ready` or until it has spun long enough.
template <class Ready>
bool spin(const Ready& ready) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(ThreadPool::kSpinUs);
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
  } while (Clock::now() < end);
  return ready();
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : cpus_(allowed_cpus()) {
  CHECK_GE(threads, 1);
  try {
    for (int worker = 1; worker < threads; ++worker)
      workers_.emplace_back([this, worker] { work(worker); });
  } catch (...) {  // std::system_error: there are no more threads to be had
    end_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  end_workers();
}

void ThreadPool::end_workers() {
  posts_.fetch_or(kStop);
  posts_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t num_tasks, Job job) {
  CHECK_LE(num_tasks, int64_t{UINT32_MAX});
  const ScopedFloatMode mode;
  if (num_tasks <= 1 || workers_.empty()) {
    for (int64_t task = 0; task < num_tasks; ++task) job.call(job.object, task, 0);
    return;
  }
  place_workers();
  job_ = job;
  unfinished_.store(static_cast<uint32_t>(num_tasks), std::memory_order_relaxed);
  tickets_.store(pack_tickets(static_cast<uint32_t>(num_tasks), 0), std::memory_order_release);
  posts_.fetch_add(kOneJob);
  posts_.notify_all();
  take_tasks(0);
  wait_until_done();
}

void ThreadPool::place_workers() {
  const int cpu = sched_getcpu();
  if (cpu == caller_cpu_ || threads() > std::ssize(cpus_)) return;
  caller_cpu_ = cpu;
  auto next = cpus_.begin();
  for (std::thread& worker : workers_) {
    if (*next == cpu) ++next;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*next++, &set);
    // If the system refuses, the worker runs where it likes.
    pthread_setaffinity_np(worker.native_handle(), sizeof set, &set);
  }
}

void ThreadPool::take_tasks(int worker) {
  uint64_t tickets = tickets_.load(std::memory_order_acquire);
  for (;;) {
    const auto num_tasks = static_cast<uint32_t>(tickets >> 32);
    const auto task = static_cast<uint32_t>(tickets);
    if (task >= num_tasks) return;
    if (!tickets_.compare_exchange_weak(tickets, tickets + 1, std::memory_order_acq_rel)) continue;
    job_.call(job_.object, task, worker);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    tickets = tickets_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_until_done() {
  if (spin([this] { return unfinished_.load(std::memory_order_acquire) == 0; })) return;
  for (uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) != 0;)
    unfinished_.wait(left, std::memory_order_acquire);
}

void ThreadPool::work(int worker) {
  const ScopedFloatMode mode;
  for (uint32_t seen = 0;;) {
    const auto posted = [&] { return posts_.load(std::memory_order_acquire) != seen; };
    if (!spin(posted)) posts_.wait(seen, std::memory_order_acquire);
    seen = posts_.load(std::memory_order_acquire);
    if (seen & kStop) return;
    take_tasks(worker);
  }
}

}  // namespace erne::cpu
