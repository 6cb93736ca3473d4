// Cosines and sines of the rotary angles of one step. All layers of a step ask with the same
// positions, so the last table is kept.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

struct SineCosine {
  double sine, cosine;
};
// For |angle| up to 2^25, within 2^-50: our own, because libm's last bits differ by version. Only
// IEEE operations in a fixed order.
SineCosine sine_cosine(double angle);

class RopeAngles {
 public:
  // Fills the table for these positions: angle = position * inv_freq as a float32 product, its
  // cosine and sine rounded to float32.
  void prepare(std::span<const int32_t> positions, std::span<const float> inv_freq,
               ThreadPool& pool);

  // [position, D]: each value twice, and the first of a pair of sines negated, so that
  // out = x * cosine + swapped(x) * sine, with the elements of each pair swapped.
  const float* cosines() const { return cosines_.data(); }
  const float* sines() const { return sines_.data(); }

 private:
  std::vector<int32_t> positions_;
  std::vector<float> inv_freq_;
  std::vector<float> cosines_, sines_;
};

}  // namespace erne::cpu
