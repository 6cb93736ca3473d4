#include "bench/percentiles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace erne::bench {

double percentile(std::span<const double> sorted, double q) {
  CHECK(!sorted.empty());
  const double rank = q * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], rank - static_cast<double>(below));
}

Summary summarize(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const double sum = std::accumulate(samples.begin(), samples.end(), 0.0);
  return {.count = static_cast<int64_t>(samples.size()),
          .mean = sum / static_cast<double>(samples.size()),
          .p50 = percentile(samples, 0.50),
          .p90 = percentile(samples, 0.90),
          .p95 = percentile(samples, 0.95),
          .p99 = percentile(samples, 0.99),
          .max = samples.back()};
}

Json to_json(const Summary& summary) {
  if (summary.count == 0) return nullptr;
  return Json::Object{{"count", summary.count}, {"mean", summary.mean}, {"p50", summary.p50},
                      {"p90", summary.p90},     {"p95", summary.p95},   {"p99", summary.p99},
                      {"max", summary.max}};
}

}  // namespace erne::bench
