// `erne bench decode|prefill|batched`: times a model's steps in this process and prints how far
// they are from what the machine's memory and arithmetic allow.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"
#include "bench/case_runner.h"
#include "bench/limits.h"
#include "bench/model_cases.h"
#include "sched/executor.h"
#include "sched/limits.h"

namespace erne::bench {

// What is measured. All it refers to outlives the measurement.
struct ModelUnderTest {
  sched::Executor& executor;
  const OpCounters& counters;  // of the back end that it computes on
  std::string backend;         // its name
  sched::Limits limits;
  int threads = 1;                               // of the back end
  Arithmetic arithmetic = Arithmetic::kFloat32;  // of the products with its weights
  size_t weight_bytes = 0;
  int num_tokens = 0;  // ids that a prompt may hold
  std::string name;    // of the checkpoint
};

struct ModelBenchOptions {
  int repetitions = 5;  // at least 1
  double temperature = 0;
  uint64_t seed = 0;         // of the prompts
  bool skip_limits = false;  // no floors: where another run has measured the limits
  std::string json;          // file to write; empty: none
  std::string command;       // as typed, for the result
};

// The least time that this work needs: the larger of bytes / read bandwidth and operations / peak.
// The bandwidth is that of a working set of one step's bytes. All operations count as if they were
// done in the model's arithmetic, the fastest it uses.
struct Floor {
  double seconds = 0;
  const char* bound = "";  // "memory" or "compute"
};
Floor floor_of(const PhaseSample& sample, const MachineLimits& limits, Arithmetic arithmetic,
               int threads);

// Repetitions of one phase of a case, reduced.
struct PhaseFigures {
  std::string name;  // of the case
  Phase phase = Phase::kPrefill;
  std::vector<double> tokens_per_s;  // ascending
  PhaseSample median;                // the repetition in the middle
};
// `samples` is not empty.
PhaseFigures reduce(const ModelCase& model_case, Phase phase, std::vector<CaseSample> samples);

// Measures limits, then every case after one that warms up; each line is printed when it is known.
// Returns what it also writes to options.json.
Result<Json> run_model_bench(const ModelUnderTest& model, const std::vector<ModelCase>& cases,
                             const ModelBenchOptions& options, const Clock& clock,
                             const std::function<void(const std::string&)>& print);

}  // namespace erne::bench
