// What a load on a server came to: latencies, throughput, failures, and how far decoding is from
// what the memory allows.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "bench/completion_stream.h"
#include "bench/percentiles.h"

namespace erne::bench {

// No decode step is faster than reading every weight once. (KV and activations come on top, and the
// cores may be the limit: it is a floor, not an estimate.)
struct DecodeFloor {
  int64_t weight_bytes = 0;
  double gb_per_s = 0;  // this machine's, for a working set of that size
  double step_ms() const { return static_cast<double>(weight_bytes) / gb_per_s * 1e-6; }
};

using Counts = std::vector<std::pair<std::string, int64_t>>;  // most frequent first

struct ServeReport {
  double duration_s = 0;  // first request sent to last one ended
  int64_t completed = 0, failed = 0;
  Counts failures;        // by reason; beyond kMaxReasons, under one heading
  Counts finish_reasons;  // of the completed
  int64_t input_tokens = 0, cached_tokens = 0, output_tokens = 0;  // of the completed
  // Times of completed requests. TTFT: sent to first token. TPOT: per request, first to last token
  // over the tokens between. ITL: between one event with tokens and the next, as a reader sees it.
  // E2E: sent to ended.
  Summary ttft_ms, tpot_ms, itl_ms, e2e_ms;
  std::optional<DecodeFloor> floor;

  double per_second(int64_t amount) const;
};
inline constexpr size_t kMaxReasons = 20;

ServeReport make_report(std::span<const RequestOutcome> outcomes, std::optional<DecodeFloor> floor);

Json to_json(const ServeReport& report);
std::string to_text(const ServeReport& report);  // for a terminal
// TTFT and ITL as cumulative distributions, throughput and streams over time.
std::string to_svg(std::string_view title, std::span<const RequestOutcome> outcomes);

}  // namespace erne::bench
