#include "cpu/kernels/rope_angles.h"

#include <algorithm>
#include <cmath>

namespace erne::cpu {
namespace {

// pi / 2 in three parts. The first two have 28 bits, so n times them is exact for |n| < 2^25.
constexpr double kHalfPi0 = 0x1.921fb54p+0;
constexpr double kHalfPi1 = 0x1.10b461p-30;
constexpr double kHalfPi2 = 0x1.a62633145c06ep-58;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;

// x - x^3 / 3! + ... - x^19 / 19!, |x| <= pi / 4: the next term is below 2^-72.
double sine_series(double x) {
  const double square = x * x;
  double sum = 0;
  for (int n = 19; n >= 3; n -= 2) sum = (1 - sum) * square / ((n - 1) * n);
  return x - x * sum;
}

// 1 - x^2 / 2! + ... + x^18 / 18!: the next term is below 2^-68.
double cosine_series(double x) {
  const double square = x * x;
  double sum = 0;
  for (int n = 18; n >= 2; n -= 2) sum = (1 - sum) * square / ((n - 1) * n);
  return 1 - sum;
}

}  // namespace

SineCosine sine_cosine(double angle) {
  const double n = std::nearbyint(angle * kTwoOverPi);
  const double x = ((angle - n * kHalfPi0) - n * kHalfPi1) - n * kHalfPi2;
  const double sine = sine_series(x), cosine = cosine_series(x);
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

void RopeAngles::prepare(std::span<const int32_t> positions, std::span<const float> inv_freq,
                         ThreadPool& pool) {
  if (std::ranges::equal(positions, positions_) && std::ranges::equal(inv_freq, inv_freq_)) return;
  positions_.assign(positions.begin(), positions.end());
  inv_freq_.assign(inv_freq.begin(), inv_freq.end());
  const size_t width = 2 * inv_freq.size();
  cosines_.resize(positions.size() * width);
  sines_.resize(positions.size() * width);
  pool.parallel_for(std::ssize(positions), [&](int64_t t, int) {
    float* cosine = cosines_.data() + t * width;
    float* sine = sines_.data() + t * width;
    for (float frequency : inv_freq_) {
      const float angle = static_cast<float>(positions_[t]) * frequency;
      const SineCosine at = sine_cosine(angle);
      *cosine++ = static_cast<float>(at.cosine);
      *cosine++ = static_cast<float>(at.cosine);
      *sine++ = static_cast<float>(-at.sine);
      *sine++ = static_cast<float>(at.sine);
    }
  });
}

}  // namespace erne::cpu
