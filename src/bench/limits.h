// What the machine can do at most, measured: how fast it reads memory, and how many multiply-adds
// of each arithmetic it does. Every other figure is read against these. A limit is the best of many
// short windows, so that a floor made of it is one; their median tells how quiet the machine was.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"

namespace erne::bench {

struct ReadBandwidth {
  int threads = 0;
  size_t working_set_bytes = 0;  // of all threads together, read again and again
  double gb_per_s = 0;           // the best window, 10^9 bytes
  double median_gb_per_s = 0;
};

// `threads` pinned threads read their share of the working set in four streams with prefetch.
ReadBandwidth measure_read_bandwidth(size_t working_set_bytes, int threads);

// What products are computed in.
enum class Arithmetic {
  kFloat32,
  kBf16,  // bfloat16 by bfloat16, summed in float32
  kInt8,  // 8-bit by 8-bit, summed in 32 bits
  kInt4,  // 4-bit by 8-bit: a few products may be summed in 16 bits
};
const char* arithmetic_name(Arithmetic arithmetic);

struct ComputePeak {
  Arithmetic arithmetic = Arithmetic::kFloat32;
  const char* instructions = "";
  int threads = 0;
  double gop_per_s = 0;  // two operations per multiply-add; the best window
  double median_gop_per_s = 0;
};

// Independent chains of multiply-adds per thread, operands in registers: a row for each way that
// this CPU has; none on one without AVX2 and FMA.
std::vector<ComputePeak> measure_compute_peaks(int threads);

struct MachineLimits {
  std::vector<ReadBandwidth> bandwidth;  // by threads, then ascending by working set
  std::vector<ComputePeak> compute;      // by threads

  // The fastest this machine reads `bytes` that `threads` threads read again and again: the figure
  // of the largest measured working set that is not larger, so that a floor made of it stays a
  // floor.
  double bandwidth_at(size_t bytes, int threads) const;
  // The figure of the largest working set: memory that no cache holds.
  double memory_bandwidth(int threads) const;
  // By the best instructions for it; bfloat16 may be widened to float32, 4-bit numbers to 8 bits.
  // 0: not known.
  double compute_peak(Arithmetic arithmetic, int threads) const;
};

// A working set that no cache of this machine holds, as far as its memory allows.
size_t uncached_bytes();

// For 1 and for `threads` threads; some seconds. Bandwidth is that of a first cache, of a second,
// of 8 MB, of `working_set_bytes` (0: left out) and of a working set that no cache holds.
MachineLimits measure_limits(int threads, size_t working_set_bytes = 0);
std::string to_text(const MachineLimits& limits);
Json to_json(const MachineLimits& limits);

}  // namespace erne::bench
