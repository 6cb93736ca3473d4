// Sends streamed completions to a server, on one thread, as many at once as asked for, and notes
// when each token came.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "bench/completion_stream.h"

namespace erne::bench {

struct LoadPlan {
  std::string url;                  // of the endpoint
  std::string api_key;              // empty: none is sent
  std::vector<std::string> bodies;  // one request each
  std::vector<int64_t>
      arrivals_us;      // when each wants to start; ascending, from the load's start on
  int max_concurrency;  // a request that finds this many running waits; it is timed from
                        // when it is sent
  int64_t request_timeout_us;
};

// Arrival times of a Poisson process of `rate` requests per second; all 0 for an infinite rate.
std::vector<int64_t> poisson_arrivals(int num_requests, double rate, uint64_t seed);

// One outcome per body, in order, times counted from the load's start. Requests that fail are
// outcomes too; refused is only what no request could run with (not enough file descriptors).
Result<std::vector<RequestOutcome>> generate_load(const LoadPlan& plan, const Clock& clock);

}  // namespace erne::bench
