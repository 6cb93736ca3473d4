// `erne bench ops`: times each operation of ERNIE-4.5 0.3B on a back end and prints how far it is
// from what the machine's memory and arithmetic allow.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"
#include "bench/limits.h"
#include "bench/op_cases.h"

namespace erne::bench {

struct OpsBenchOptions {
  std::vector<std::string> ops;  // empty: all of op_names()
  std::vector<int64_t> rows = {1, 8, 64, 512};
  int threads = 1;                 // of the back end; the limits are measured for as many
  std::string dtype = "bfloat16";  // or float32: activations
  std::string kv_cache_dtype = "auto";
  OpShapes shapes = kErnie03B;
  size_t streamed_bytes = size_t{512} << 20;  // see CaseOptions
  int64_t case_us = 200'000;                  // how long each op and row count is timed
  std::string json;                           // file to write; empty: none
  std::string command;                        // as typed, for the result
};

// Refuses values out of range, by the flag's name.
Result<void> check(const OpsBenchOptions& options);

struct OpTiming {
  std::string op;
  int64_t rows = 0;
  double us = 0;       // one call; the median batch
  double best_us = 0;  // the best batch: far below, and others were running
  int64_t bytes = 0, cold_bytes = 0, flops = 0;  // of one call; cold: from memory, of `bytes`
  double floor_us = 0;
  const char* bound = "";  // what sets the floor: "memory", "cache" or "compute"

  double over_floor() const { return us / floor_us; }
};

// The largest of: cold bytes over the memory's bandwidth, the other bytes over the bandwidth of a
// working set of their size, operations over the multiply-add peak.
void set_floor(OpTiming& timing, const MachineLimits& limits, int threads);

// Calls the op for about `budget_us` (at least once after a warm-up); bytes and flops come from the
// back end's counters.
OpTiming time_op(Backend& backend, const OpCase& op, int64_t rows, int64_t budget_us,
                 const Clock& clock);

// Measures limits, then every op; each line of the report is printed when it is known. Returns what
// it also writes to options.json.
Result<Json> run_ops_bench(Backend& backend, const OpsBenchOptions& options, const Clock& clock,
                           const std::function<void(const std::string&)>& print);

}  // namespace erne::bench
