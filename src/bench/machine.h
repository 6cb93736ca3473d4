// The machine a measurement was made on: a figure says nothing without it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"

namespace erne::bench {

struct Machine {
  std::string cpu;  // as /proc/cpuinfo names it; virtual machines often say no more than "AMD EPYC"
  int family = 0, model = 0;  // of the CPU: what tells such machines apart
  int num_cpus = 0;           // online
  size_t last_level_cache_bytes = 0;
  size_t memory_bytes = 0;
};

Machine this_machine();
// From the text of /proc/cpuinfo: cpu, family and model. What it lacks stays empty.
Machine parse_cpuinfo(std::string_view text);

// Names the result file: "amd-epyc-f25-m17".
std::string machine_slug(const Machine& machine);
Json to_json(const Machine& machine);

// "2026-11-21T03:26:14Z".
std::string utc_date(int64_t seconds_since_epoch);
std::string utc_now();
// Threads that wanted a CPU in the last minute: what else was running while something was measured.
double load_average();

}  // namespace erne::bench
