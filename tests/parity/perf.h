// A timing report over the case tables, not a test: what share of the machine's measured limit each
// case reaches.
#pragma once

#include <string>

namespace erne::parity {

struct PerfOptions {
  int threads = 0;             // 0: all CPUs
  std::string filter;          // cases whose "instance op case" contains this; empty: all
  bool reference_too = false;  // plain loops are slow and nobody waits for them
};
void print_perf(const PerfOptions& options);

}  // namespace erne::parity
