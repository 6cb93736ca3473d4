#include "bench/limits.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "bench/limits_kernels.h"
#include "bench/machine.h"
#include "bench/percentiles.h"

namespace erne::bench {
namespace {

// Windows of about a millisecond and many of them: on a busy machine, some find every CPU free.
constexpr int kWindows = 200;
constexpr size_t kWindowBytes = 32 << 20;  // of all threads together
constexpr int64_t kFmaRoundsPerWindow = 400'000;
constexpr size_t kCachedShareBytes = 2 << 20;  // of one thread; up to here prefetch only costs
constexpr size_t kReadUnitBytes = 1024;        // what the kernels read in whole

bool has_avx2_and_fma() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

// Pins the calling thread to the nth of the CPUs this process may use; threads beyond them share.
void pin_to_nth_cpu(int n) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int left = n % CPU_COUNT(&allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

// Runs `prepare(t)` once and then `work(t, window)` for each window on each of `threads` pinned
// threads, all beginning together. Returns the seconds of each window, first start to last end.
std::vector<double> timed_windows(int threads, const std::function<void(int)>& prepare,
                                  const std::function<void(int, int)>& work) {
  CHECK_GE(threads, 1);
  const SteadyClock clock;
  std::vector<int64_t> marks;  // at every meeting of the threads
  marks.reserve(kWindows + 1);
  std::barrier meet(threads, [&]() noexcept { marks.push_back(clock.now_us()); });
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      pin_to_nth_cpu(t);
      prepare(t);
      work(t, 0);  // warms up
      for (int window = 0; window < kWindows; ++window) {
        meet.arrive_and_wait();
        work(t, window);
      }
      meet.arrive_and_wait();
    });
  }
  workers.clear();  // joins
  std::vector<double> seconds;
  for (size_t i = 1; i < marks.size(); ++i) {
    seconds.push_back(static_cast<double>(std::max<int64_t>(1, marks[i] - marks[i - 1])) * 1e-6);
  }
  return seconds;
}

std::vector<double> rates(double amount, const std::vector<double>& seconds) {
  std::vector<double> per_second;
  for (const double s : seconds) per_second.push_back(amount / s);
  return per_second;
}

}  // namespace

ReadBandwidth measure_read_bandwidth(size_t working_set_bytes, int threads) {
  const auto count = static_cast<size_t>(threads);
  const auto in_whole_units = [](size_t bytes) {
    return std::max(kReadUnitBytes, bytes / kReadUnitBytes * kReadUnitBytes);
  };
  const size_t share_bytes = in_whole_units(working_set_bytes / count);
  // A window reads the next piece of a large share, or a small share many times.
  const size_t piece_bytes = std::min(share_bytes, in_whole_units(kWindowBytes / count));
  const size_t num_pieces = share_bytes / piece_bytes;
  const size_t passes = std::max<size_t>(1, kWindowBytes / count / piece_bytes);
  const auto fast_read = share_bytes <= kCachedShareBytes ? read_cached_avx2 : read_avx2;
  const auto read = has_avx2_and_fma() ? fast_read : read_portable;
  std::vector<std::vector<char>> shares(count);
  std::atomic<uint64_t> sink = 0;  // what is read must be used
  const auto prepare = [&](int t) { shares[static_cast<size_t>(t)].assign(share_bytes, '\x5A'); };
  const auto seconds = timed_windows(threads, prepare, [&](int t, int window) {
    const size_t piece = static_cast<size_t>(window) % num_pieces;
    const char* first = shares[static_cast<size_t>(t)].data() + piece * piece_bytes;
    uint64_t sum = 0;
    for (size_t pass = 0; pass < passes; ++pass) {
      asm volatile("" : "+r"(first) : : "memory");  // each pass reads anew
      sum += read(first, piece_bytes);
    }
    sink += sum;
  });
  const double gigabytes = static_cast<double>(piece_bytes * count * passes) * 1e-9;
  const Summary summary = summarize(rates(gigabytes, seconds));
  return {threads, num_pieces * piece_bytes * count, summary.max, summary.p50};
}

std::optional<FmaPeak> measure_fma_peak(int threads) {
  if (!has_avx2_and_fma()) return std::nullopt;
  std::atomic<float> sink = 0;
  const auto seconds =
      timed_windows(threads, [](int) {}, [&](int, int) { sink = fma_avx2(kFmaRoundsPerWindow); });
  const double gflop =
      1e-9 * 2 * 8 * kFmaChains * static_cast<double>(kFmaRoundsPerWindow) * threads;
  const Summary summary = summarize(rates(gflop, seconds));
  return FmaPeak{threads, summary.max, summary.p50};
}

double MachineLimits::bandwidth_at(size_t bytes, int threads) const {
  const ReadBandwidth* best = nullptr;
  for (const ReadBandwidth& row : bandwidth) {
    if (row.threads != threads) continue;
    if (!best || row.working_set_bytes <= bytes) best = &row;
  }
  return best ? best->gb_per_s : 0;
}

double MachineLimits::memory_bandwidth(int threads) const {
  return bandwidth_at(static_cast<size_t>(-1), threads);
}

double MachineLimits::fma_peak(int threads) const {
  for (const FmaPeak& row : fma) {
    if (row.threads == threads) return row.gflop_per_s;
  }
  return 0;
}

size_t uncached_bytes() {
  const Machine machine = this_machine();
  const size_t wanted = std::max(size_t{512} << 20, 4 * machine.last_level_cache_bytes);
  return std::min({wanted, size_t{2} << 30, machine.memory_bytes / 8});
}

MachineLimits measure_limits(int threads) {
  MachineLimits limits;
  for (const int t : {1, threads}) {
    if (!limits.bandwidth.empty() && limits.bandwidth.back().threads == t) continue;
    const auto count = static_cast<size_t>(t);
    for (const size_t bytes : {(size_t{24} << 10) * count, (size_t{512} << 10) * count,
                               size_t{8} << 20, uncached_bytes()}) {
      limits.bandwidth.push_back(measure_read_bandwidth(bytes, t));
    }
    if (const auto peak = measure_fma_peak(t)) limits.fma.push_back(*peak);
  }
  return limits;
}

Json to_json(const MachineLimits& limits) {
  Json::Array bandwidth, fma;
  for (const ReadBandwidth& row : limits.bandwidth) {
    bandwidth.push_back(Json::Object{{"threads", row.threads},
                                     {"working_set_bytes", uint64_t{row.working_set_bytes}},
                                     {"gb_per_s", row.gb_per_s},
                                     {"median_gb_per_s", row.median_gb_per_s}});
  }
  for (const FmaPeak& row : limits.fma) {
    fma.push_back(Json::Object{{"threads", row.threads},
                               {"gflop_per_s", row.gflop_per_s},
                               {"median_gflop_per_s", row.median_gflop_per_s}});
  }
  return Json::Object{{"read_bandwidth", std::move(bandwidth)}, {"fp32_fma_avx2", std::move(fma)}};
}

}  // namespace erne::bench
