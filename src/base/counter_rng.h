// Random numbers as a pure function of where they are used. A draw for (seed, stream, position,
// lane) depends on nothing else, so batching, preemption, drafts or a restart cannot change it, and
// every back end draws the same number. Philox 4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace erne {

class CounterRng {
 public:
  CounterRng(uint64_t seed, uint64_t stream) : key_(seed), stream_(stream) {}

  // Four independent 32-bit words for one position.
  std::array<uint32_t, 4> words(uint64_t position) const;
  // Uniform in [0, 1), 53 bits, lane 0 or 1.
  double uniform(uint64_t position, int lane = 0) const;

 private:
  uint64_t key_;
  uint64_t stream_;
};

}  // namespace erne
