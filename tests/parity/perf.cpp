#include "parity/perf.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "bench/limits.h"
#include "cpu/cpu_backend.h"
#include "parity/instances.h"
#include "parity/op_runs.h"

namespace erne::parity {
namespace {

constexpr double kCaseSeconds = 0.3;
constexpr size_t kManyCalls = 5;

// Seconds of a call: the median, over calls for some tenths of a second after one to warm up.
double time_calls(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  call();
  std::vector<double> seconds;
  for (const auto begin = Clock::now();
       seconds.size() < kManyCalls || seconds_since(begin) < kCaseSeconds;) {
    const auto start = Clock::now();
    call();
    seconds.push_back(seconds_since(start));
  }
  std::ranges::nth_element(seconds, seconds.begin() + std::ssize(seconds) / 2);
  return seconds[seconds.size() / 2];
}

class Report {
 public:
  Report(const PerfOptions& options, const Instance& instance, int threads,
         const bench::MachineLimits& limits)
      : options_(options),
        limits_(limits),
        threads_(threads),
        instance_(instance),
        backend_(instance.make(threads)) {}

  void linear(const LinearCase& c) {
    if (!wanted("linear", case_name(c))) return;
    LinearRun run(*backend_, c);
    // A model's weights do not stay in a cache: pass over enough copies of this one.
    const size_t enough = c.timed_only ? bench::uncached_bytes() / run.storage.bytes() : 0;
    std::vector<DeviceBuffer> copies(1 + enough);
    std::vector<Linear> packed;
    for (DeviceBuffer& storage : copies) {
      storage = backend_->allocate(run.storage.bytes());
      backend_->pack_rows(Linear::at(storage.data(), *run.packed.format, c.out, c.in), run.w.view(),
                          0);
      packed.push_back(run.packed);
      packed.back().data.data = storage.data();
    }
    const DeviceView x = run.x.on(*backend_), y = run.y.on(*backend_);
    size_t next = 0;
    report("linear", case_name(c), [&] { backend_->linear(packed[next++ % packed.size()], x, y); });
  }

  void attention(const AttentionCase& c) {
    if (!wanted("attention", case_name(c))) return;
    AttentionRun run(*backend_, c);
    const StagedBatch batch = run.staged(run.lists);
    const DeviceView qkv = run.qkv.on(*backend_), out = run.out.on(*backend_);
    const auto scale = static_cast<float>(run.scale);
    report("attention", case_name(c),
           [&] { backend_->attention({qkv, run.kv, &batch, out, scale}); });
  }

  void rows(const RowsCase& c) {
    const auto tensor = [&](int64_t width) {
      return random_tensor(c.activation, {c.rows, width}, 1);
    };
    const GuardedTensor x = tensor(c.width), h = tensor(c.width), y = tensor(c.width);
    const GuardedTensor gate_up = tensor(2 * c.width);
    const GuardedTensor weight = random_tensor(c.activation, {c.width}, 2);
    if (wanted("add_rms_norm", case_name(c)))
      report("add_rms_norm", case_name(c), [&] {
        backend_->add_rms_norm(x.on(*backend_), h.on(*backend_), weight.on(*backend_), 1e-5f,
                               y.on(*backend_));
      });
    if (wanted("silu_mul", case_name(c)))
      report("silu_mul", case_name(c),
             [&] { backend_->silu_mul(gate_up.on(*backend_), y.on(*backend_)); });
  }

 private:
  bool wanted(const std::string& op, const std::string& name) const {
    return (instance_.name + (" " + op) + " " + name).find(options_.filter) != std::string::npos;
  }

  void report(const char* op, const std::string& name, const std::function<void()>& call) {
    backend_->reset_counters();
    call();
    const OpCounters work = backend_->counters();
    const double seconds = time_calls([&] {
      call();
      backend_->finish();
    });
    const double gb = static_cast<double>(work.bytes) / seconds / 1e9;
    const double gflop = static_cast<double>(work.flops) / seconds / 1e9;
    const double bandwidth = limits_.memory_bandwidth(threads_),
                 peak = limits_.compute_peak(bench::Arithmetic::kFloat32, threads_);
    std::printf("%-13s %-13s %-76s %10.1f us %7.1f GB/s %4.0f %% %7.1f GFLOP/s %4.0f %%\n",
                instance_.name, op, name.c_str(), seconds * 1e6, gb, 100 * gb / bandwidth, gflop,
                peak > 0 ? 100 * gflop / peak : 0);
    std::fflush(stdout);
  }

  const PerfOptions& options_;
  const bench::MachineLimits& limits_;
  int threads_;
  const Instance& instance_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace

void print_perf(const PerfOptions& options) {
  const int threads = options.threads > 0 ? options.threads : cpu::usable_cpus();
  bench::MachineLimits limits;
  limits.bandwidth.push_back(bench::measure_read_bandwidth(bench::uncached_bytes(), threads));
  limits.compute = bench::measure_compute_peaks(threads);
  std::printf("%d threads; memory %.1f GB/s, float32 fma %.1f GFLOP/s; percentages are of these\n",
              threads, limits.memory_bandwidth(threads),
              limits.compute_peak(bench::Arithmetic::kFloat32, threads));
  for (const Instance& instance : instances()) {
    if (!instance.available()) {
      std::printf("%s: not on this machine\n", instance.name);
      continue;
    }
    if (std::string_view(instance.name) == "cpu_reference" && !options.reference_too) continue;
    Report report(options, instance, threads, limits);
    for (const LinearCase& c : linear_cases()) report.linear(c);
    for (const AttentionCase& c : attention_cases()) report.attention(c);
    for (const RowsCase& c : rows_cases()) report.rows(c);
  }
}

}  // namespace erne::parity
