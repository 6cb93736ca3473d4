#include "bench/limits.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <set>
#include <thread>

#include "base/check.h"
#include "base/clock.h"
#include "bench/limits_kernels.h"
#include "bench/machine.h"
#include "bench/percentiles.h"
#include "cpu/cpu_backend.h"

namespace erne::bench {
namespace {

// Windows of about a millisecond and many of them: on a busy machine, some find every CPU free.
constexpr int kWindows = 200;
constexpr size_t kWindowBytes = 32 << 20;      // of all threads together
constexpr size_t kCachedShareBytes = 2 << 20;  // of one thread; up to here prefetch only costs
constexpr size_t kReadUnitBytes = 1024;        // what the kernels read in whole

bool has_avx2_and_fma() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool has_amx() {
  return cpu::cpu_supports(cpu::CpuIsa::kAmx);
}

struct PeakRow {
  Arithmetic arithmetic;
  const char* instructions;
  bool (*supported)();
  double (*run)(int64_t rounds);
  int64_t multiply_adds;      // of a round
  int64_t rounds_per_window;  // about a millisecond's
};

constexpr PeakRow kPeaks[] = {
    {Arithmetic::kFloat32, "AVX2 fma", has_avx2_and_fma, fma_avx2, 8 * kChains, 400'000},
    {Arithmetic::kFloat32, "AVX-512 fma", [] { return __builtin_cpu_supports("avx512f") != 0; },
     fma_avx512, 16 * kChains, 400'000},
    {Arithmetic::kBf16, "AVX-512 BF16 dpbf16ps",
     [] { return __builtin_cpu_supports("avx512bf16") != 0; }, bf16_avx512, 32 * kChains, 400'000},
    {Arithmetic::kInt8, "AVX2 maddubs, madd, add", has_avx2_and_fma, int8_avx2, 32 * kChains,
     250'000},
    {Arithmetic::kInt8, "AVX-512 VNNI dpbusd",
     [] { return __builtin_cpu_supports("avx512vnni") != 0; }, int8_avx512_vnni, 64 * kChains,
     400'000},
    {Arithmetic::kBf16, "AMX tdpbf16ps", has_amx, bf16_amx, 16 * 16 * 32 * kTileChains, 40'000},
    {Arithmetic::kInt8, "AMX tdpbsud", has_amx, int8_amx, 16 * 16 * 64 * kTileChains, 40'000},
    {Arithmetic::kInt4, "AVX2 8 x (maddubs, add), madd, add", has_avx2_and_fma, int4_avx2,
     32 * kInt4Products* kInt4Chains, 80'000},
};

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

const char* arithmetic_name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFloat32:
      return "float32";
    case Arithmetic::kBf16:
      return "bfloat16";
    case Arithmetic::kInt8:
      return "int8";
    case Arithmetic::kInt4:
      return "int4 x int8";
  }
  check_failed(__FILE__, __LINE__, "an arithmetic", std::to_string(static_cast<int>(arithmetic)));
}

std::vector<ComputePeak> measure_compute_peaks(int threads) {
  std::vector<ComputePeak> peaks;
  for (const PeakRow& row : kPeaks) {
    if (!row.supported()) continue;
    std::atomic<double> sink = 0;
    const auto seconds = timed_windows(
        threads, [](int) {}, [&](int, int) { sink = row.run(row.rounds_per_window); });
    const double gop =
        2e-9 * static_cast<double>(row.multiply_adds * row.rounds_per_window) * threads;
    const Summary summary = summarize(rates(gop, seconds));
    peaks.push_back({row.arithmetic, row.instructions, threads, summary.max, summary.p50});
  }
  return peaks;
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

double MachineLimits::compute_peak(Arithmetic arithmetic, int threads) const {
  double best = 0;
  for (const ComputePeak& row : compute) {
    const bool can = row.arithmetic == arithmetic ||
                     (arithmetic == Arithmetic::kBf16 && row.arithmetic == Arithmetic::kFloat32) ||
                     (arithmetic == Arithmetic::kInt4 && row.arithmetic == Arithmetic::kInt8);
    if (can && row.threads == threads) best = std::max(best, row.gop_per_s);
  }
  return best;
}

size_t uncached_bytes() {
  const Machine machine = this_machine();
  const size_t wanted = std::max(size_t{512} << 20, 4 * machine.last_level_cache_bytes);
  return std::min({wanted, size_t{2} << 30, machine.memory_bytes / 8});
}

MachineLimits measure_limits(int threads, size_t working_set_bytes) {
  MachineLimits limits;
  for (const int t : std::set{1, threads}) {
    const auto count = static_cast<size_t>(t);
    std::set<size_t> working_sets = {(size_t{24} << 10) * count, (size_t{512} << 10) * count,
                                     size_t{8} << 20, uncached_bytes()};
    if (working_set_bytes > 0) working_sets.insert(std::min(working_set_bytes, uncached_bytes()));
    for (const size_t bytes : working_sets)
      limits.bandwidth.push_back(measure_read_bandwidth(bytes, t));
    for (const ComputePeak& peak : measure_compute_peaks(t)) limits.compute.push_back(peak);
  }
  return limits;
}

std::string to_text(const MachineLimits& limits) {
  std::string text = "read bandwidth, GB/s:\n";
  for (const ReadBandwidth& row : limits.bandwidth) {
    text += fmt::format("  {} threads, {:10.1f} KB: {:7.1f} (median {:.1f})\n", row.threads,
                        static_cast<double>(row.working_set_bytes) / 1024, row.gb_per_s,
                        row.median_gb_per_s);
  }
  text += limits.compute.empty() ? "multiply-adds: not measured, no AVX2 and FMA\n"
                                 : "multiply-adds, Gop/s:\n";
  for (const ComputePeak& row : limits.compute) {
    text += fmt::format("  {} threads, {:11} ({}): {:.1f} (median {:.1f})\n", row.threads,
                        arithmetic_name(row.arithmetic), row.instructions, row.gop_per_s,
                        row.median_gop_per_s);
  }
  return text;
}

Json to_json(const MachineLimits& limits) {
  Json::Array bandwidth, compute;
  for (const ReadBandwidth& row : limits.bandwidth) {
    bandwidth.push_back(Json::Object{{"threads", row.threads},
                                     {"working_set_bytes", uint64_t{row.working_set_bytes}},
                                     {"gb_per_s", row.gb_per_s},
                                     {"median_gb_per_s", row.median_gb_per_s}});
  }
  for (const ComputePeak& row : limits.compute) {
    compute.push_back(Json::Object{{"threads", row.threads},
                                   {"arithmetic", arithmetic_name(row.arithmetic)},
                                   {"instructions", row.instructions},
                                   {"gop_per_s", row.gop_per_s},
                                   {"median_gop_per_s", row.median_gop_per_s}});
  }
  return Json::Object{{"read_bandwidth", std::move(bandwidth)}, {"compute", std::move(compute)}};
}

}  // namespace erne::bench
