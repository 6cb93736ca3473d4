#include "bench/ops_bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bench/machine.h"
#include "bench/percentiles.h"
#include "bench/serve_bench.h"
#include "tensor/activation_types.h"

namespace erne::bench {
namespace {

constexpr int64_t kMaxRows = 8192;
constexpr int kMaxContext = 1 << 20;
constexpr int64_t kMinBatchUs =
    1000;  // calls timed together, so that the clock's steps do not matter
constexpr int kMinBatches = 5;

DType activations(const OpsBenchOptions& options) {
  return find_activation_dtype(options.dtype).value();
}

double gb_per_s(const OpTiming& timing) {
  return static_cast<double>(timing.bytes) / timing.us * 1e-3;
}
double gflop_per_s(const OpTiming& timing) {
  return static_cast<double>(timing.flops) / timing.us * 1e-3;
}

std::string ops_heading() {
  return fmt::format("{:18}{:>6}{:>12}{:>12}{:>9}{:>10}{:>9}{:>12}{:>9}{:>16}\n", "op", "rows",
                     "us", "best us", "GB/s", "GFLOP/s", "bound", "floor us", "% limit",
                     "measured/floor");
}

std::string line(const OpTiming& t) {
  return fmt::format("{:18}{:6}{:12.2f}{:12.2f}{:9.2f}{:10.2f}{:>9}{:12.2f}{:9.1f}{:16.2f}\n", t.op,
                     t.rows, t.us, t.best_us, gb_per_s(t), gflop_per_s(t), t.bound, t.floor_us,
                     100 / t.over_floor(), t.over_floor());
}

Json to_json(const OpTiming& t) {
  return Json::Object{{"op", t.op},
                      {"rows", t.rows},
                      {"us", t.us},
                      {"best_us", t.best_us},
                      {"bytes", t.bytes},
                      {"cold_bytes", t.cold_bytes},
                      {"flops", t.flops},
                      {"gb_per_s", gb_per_s(t)},
                      {"gflop_per_s", gflop_per_s(t)},
                      {"bound", t.bound},
                      {"floor_us", t.floor_us},
                      {"percent_of_limit", 100 / t.over_floor()},
                      {"measured_over_floor", t.over_floor()}};
}

}  // namespace

Result<void> check(const OpsBenchOptions& options) {
  const auto names = op_names();
  for (const std::string& op : options.ops) {
    if (std::ranges::find(names, op) == names.end()) {
      return invalid(fmt::format("--ops: no op \"{}\"; there are {}", op, fmt::join(names, ", ")),
                     "ops");
    }
  }
  if (options.rows.empty()) return invalid("--rows: none given", "rows");
  for (const int64_t rows : options.rows) {
    if (rows < 1 || rows > kMaxRows) {
      return invalid(fmt::format("--rows: {} is not in 1 to {}", rows, kMaxRows), "rows");
    }
  }
  if (options.threads < 0 || options.threads > 1024) {
    return invalid(fmt::format("--threads is {}; it must be 0 (all CPUs) to 1024", options.threads),
                   "threads");
  }
  if (!find_activation_dtype(options.dtype)) {
    return invalid(
        fmt::format("--dtype is \"{}\"; it must be one of: {}", options.dtype, kActivationChoices),
        "dtype");
  }
  if (!find_kv_dtype(options.kv_cache_dtype, activations(options))) {
    return invalid(fmt::format("--kv-cache-dtype is \"{}\"; it must be one of: {}",
                               options.kv_cache_dtype, kKvDtypeChoices),
                   "kv-cache-dtype");
  }
  if (options.shapes.context < 1 || options.shapes.context > kMaxContext) {
    return invalid(
        fmt::format("--context: {} is not in 1 to {}", options.shapes.context, kMaxContext),
        "context");
  }
  return {};
}

void set_floor(OpTiming& timing, const MachineLimits& limits, int threads) {
  const auto us = [](int64_t amount, double per_ns) {
    return per_ns > 0 ? static_cast<double>(amount) / per_ns * 1e-3 : 0;
  };
  const int64_t warm_bytes = std::max<int64_t>(0, timing.bytes - timing.cold_bytes);
  const double warm_bandwidth = limits.bandwidth_at(static_cast<size_t>(warm_bytes), threads);
  const std::pair<double, const char*> bounds[] = {
      {us(timing.cold_bytes, limits.memory_bandwidth(threads)), "memory"},
      {us(warm_bytes, warm_bandwidth), "cache"},
      {us(timing.flops, limits.compute_peak(Arithmetic::kBf16, threads)), "compute"}};
  std::tie(timing.floor_us, timing.bound) =
      *std::ranges::max_element(bounds, {}, [](const auto& bound) { return bound.first; });
}

OpTiming time_op(Backend& backend, const OpCase& op, int64_t rows, int64_t budget_us,
                 const Clock& clock) {
  int64_t turn = 0;
  const auto time_calls = [&](int64_t calls) {
    const int64_t begin_us = clock.now_us();
    for (int64_t i = 0; i < calls; ++i) op.run(rows, turn++);
    backend.finish();
    return clock.now_us() - begin_us;
  };
  backend.reset_counters();
  time_calls(1);  // warms up
  const OpCounters work = backend.counters();

  int64_t calls = 1, batch_us = time_calls(calls);
  while (batch_us < kMinBatchUs) {
    calls *= 2;
    batch_us = time_calls(calls);
  }
  std::vector<double> us_per_call;
  int64_t spent_us = 0;
  while (us_per_call.empty() || spent_us < budget_us ||
         (us_per_call.size() < kMinBatches && spent_us < 4 * budget_us)) {
    batch_us = time_calls(calls);
    spent_us += batch_us;
    us_per_call.push_back(static_cast<double>(batch_us) / static_cast<double>(calls));
  }
  const double best_us = std::ranges::min(us_per_call);
  return {.op = op.name,
          .rows = rows,
          .us = summarize(std::move(us_per_call)).p50,
          .best_us = best_us,
          .bytes = work.bytes,
          .cold_bytes = std::min(op.cold_bytes(rows), work.bytes),
          .flops = work.flops};
}

Result<Json> run_ops_bench(Backend& backend, const OpsBenchOptions& options, const Clock& clock,
                           const std::function<void(const std::string&)>& print) {
  TRY(check(options));
  const Machine machine = this_machine();
  const double load = load_average();
  const DType kv = find_kv_dtype(options.kv_cache_dtype, activations(options)).value();
  print(fmt::format(
      "{} ({}), load {:.1f} before; back end {}, {} threads, {}, KV {}, decode at {} positions\n",
      machine.cpu, machine_slug(machine), load, backend.name(), options.threads, options.dtype,
      dtype_name(kv), options.shapes.context));
  const MachineLimits limits = measure_limits(options.threads);
  print(to_text(limits));
  print(ops_heading());

  const CaseOptions case_options{.shapes = options.shapes,
                                 .activations = activations(options),
                                 .kv = kv,
                                 .max_rows = std::ranges::max(options.rows),
                                 .streamed_bytes = options.streamed_bytes};
  Json::Array timings;
  for (const std::string& name : options.ops.empty() ? op_names() : options.ops) {
    if (!has_op(name, backend)) continue;
    const OpCase op = make_op_case(name, backend, case_options);
    for (const int64_t rows : options.rows) {
      OpTiming timing = time_op(backend, op, rows, options.case_us, clock);
      set_floor(timing, limits, options.threads);
      print(line(timing));
      timings.push_back(to_json(timing));
    }
  }
  Json json = Json::Object{{"kind", "erne bench ops"},
                           {"date", utc_now()},
                           {"command", options.command},
                           {"machine", to_json(machine)},
                           {"backend", backend.name()},
                           {"threads", options.threads},
                           {"dtype", options.dtype},
                           {"kv_dtype", dtype_name(kv)},
                           {"context", options.shapes.context},
                           {"limits", to_json(limits)},
                           {"ops", std::move(timings)}};
  if (!options.json.empty()) TRY(write_file(options.json, json.dump() + "\n", "json"));
  return json;
}

}  // namespace erne::bench
