// bench: measuring what was built. `erne bench serve` loads a server with streams and times their
// tokens; `decode`, `prefill` and `batched` step an engine by hand; `ops` times a back end's
// operations. All measure the machine's own limits first and print measured / floor. Called by
// apps/ from one thread, on which everything runs but the measurement of limits: that starts and
// joins threads of its own.
//
// This file: the figures a sample of measurements is reduced to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"

namespace erne::bench {

struct Summary {
  int64_t count = 0;  // 0: nothing was measured, and the rest says nothing
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
};

// The value below which the share `q` in [0, 1] of the sample lies, linear between the two
// neighbours (numpy's default, so that figures compare with other benchmarks'). `sorted` is
// ascending, not empty.
double percentile(std::span<const double> sorted, double q);

Summary summarize(std::vector<double> samples);

// {"count", "mean", "p50", ...}; null where nothing was measured.
Json to_json(const Summary& summary);

}  // namespace erne::bench
