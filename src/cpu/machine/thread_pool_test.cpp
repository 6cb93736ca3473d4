#include "cpu/machine/thread_pool.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

namespace erne::cpu {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t tasks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(tasks);
      std::atomic<bool> workers_in_range = true;
      pool.parallel_for(tasks, [&](int64_t task, int worker) {
        ++runs[task];
        if (worker < 0 || worker >= threads) workers_in_range = false;
      });
      EXPECT_TRUE(workers_in_range);
      for (const auto& run : runs)
        EXPECT_EQ(run, 1) << threads << " threads, " << tasks << " tasks";
    }
  }
}

// Plain memory written by the tasks of one job and read by the next: what a model does all day.
TEST(ThreadPool, EachJobSeesWhatTheLastOneWrote) {
  ThreadPool pool(4);
  std::vector<int64_t> values(13, 0), next(13, 0);
  for (int job = 0; job < 3000; ++job) {
    pool.parallel_for(13, [&](int64_t i, int) { next[i] = values[(i + 1) % 13] + 1; });
    values.swap(next);
  }
  EXPECT_EQ(values, std::vector<int64_t>(13, 3000));
}

TEST(ThreadPool, AWorkerNeverWorksForTwoAtOnce) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> busy(3);
  std::atomic<bool> collision = false;
  pool.parallel_for(300, [&](int64_t, int worker) {
    if (++busy[worker] != 1) collision = true;
    std::this_thread::yield();
    --busy[worker];
  });
  EXPECT_FALSE(collision);
}

TEST(ThreadPool, ThePoolsFloatModeHoldsInEveryTask) {
  ThreadPool pool(2);
  for (int64_t tasks : {1, 64}) {
    const unsigned mine = _mm_getcsr();
    std::fesetround(FE_DOWNWARD);
    const unsigned before = _mm_getcsr();
    std::atomic<int> wrong = 0;
    pool.parallel_for(tasks, [&](int64_t, int) {
      volatile float tiny = 1e-38f;
      const bool flushed = tiny * 0.1f == 0.0f;
      volatile float one = 1;
      const bool nearest = one + 0x1.8p-24f > 1.0f;
      if (!flushed || !nearest) ++wrong;
    });
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(_mm_getcsr() & ~0x3Fu, before & ~0x3Fu) << "the caller's mode, flags apart";
    _mm_setcsr(mine);
    std::fesetround(FE_TONEAREST);
  }
}

TEST(ThreadPool, SleepsWhenThereIsNothingToDo) {
  ThreadPool pool(3);
  pool.parallel_for(8, [](int64_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t begin = std::clock();  // CPU time of the whole process
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC / 20);
}

}  // namespace
}  // namespace erne::cpu
