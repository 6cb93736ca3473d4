// What the machine can do at most, measured: how fast it reads memory, and how many float32 fused
// multiply-adds it does. Every other figure is read against these. A limit is the best of many
// short windows, so that a floor made of it is one; their median tells how quiet the machine was.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
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

struct FmaPeak {
  int threads = 0;
  double gflop_per_s = 0;  // two operations per multiply-add; the best window
  double median_gflop_per_s = 0;
};

// Ten independent chains of 8-wide multiply-adds per thread (AVX2 and FMA, operands in registers).
// nullopt: this CPU lacks them.
std::optional<FmaPeak> measure_fma_peak(int threads);

struct MachineLimits {
  std::vector<ReadBandwidth> bandwidth;  // by threads, then ascending by working set
  std::vector<FmaPeak> fma;              // by threads; empty where the CPU has no AVX2 and FMA

  // The fastest this machine reads `bytes` that `threads` threads read again and again: the figure
  // of the largest measured working set that is not larger, so that a floor made of it stays a
  // floor.
  double bandwidth_at(size_t bytes, int threads) const;
  // The figure of the largest working set: memory that no cache holds.
  double memory_bandwidth(int threads) const;
  double fma_peak(int threads) const;  // 0: not known
};

// A working set that no cache of this machine holds, as far as its memory allows.
size_t uncached_bytes();

// For 1 and for `threads` threads; some seconds.
MachineLimits measure_limits(int threads);
Json to_json(const MachineLimits& limits);

}  // namespace erne::bench
