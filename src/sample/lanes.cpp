#include "sample/lanes.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace erne::sample {
namespace {

constexpr size_t kLanes = 4;  // of one SSE register
constexpr float kNone = -std::numeric_limits<float>::infinity();

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Truths __attribute__((vector_size(kLanes * sizeof(float))));  // -1: true
typedef double DoubleLanes __attribute__((vector_size(kLanes * sizeof(double))));

// The first `count`; -infinity in the lanes behind them.
void load(const float* from, size_t count, Lanes& lanes) {
  if (count >= kLanes) {
    std::memcpy(&lanes, from, sizeof(lanes));
    return;
  }
  lanes = Lanes{} + kNone;
  std::memcpy(&lanes, from, count * sizeof(float));
}

// x = exp(x) of x <= 0: x = n ln2 + r, the series of exp to r^6, and n into the exponent.
void make_exp(Lanes& x) {
  constexpr float kLowest = -87.0f, kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRoundToInt = 12582912.0f;  // 1.5 * 2^23: leaves an integer in the low bits
  const Lanes clamped = x > kLowest ? x : Lanes{} + kLowest;
  const Lanes shifted = clamped * kLog2E + kRoundToInt;
  const Lanes n = shifted - kRoundToInt;
  const Lanes r = clamped - n * kLn2High - n * kLn2Low;
  Lanes p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Bits scaled = reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(shifted) << 23);
  x = x > kLowest ? reinterpret_cast<Lanes>(scaled) : Lanes{};
}

}  // namespace

Largest largest_of(std::span<const float> logits) {
  Lanes most = Lanes{} + kNone;
  Truths nans = {};
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    Lanes next;
    load(&logits[i], logits.size() - i, next);
    most = next > most ? next : most;
    nans |= next != next;
  }
  Largest largest{kNone, false};
  for (size_t lane = 0; lane < kLanes; ++lane) {
    largest.value = std::max(largest.value, most[lane]);
    largest.has_nan |= nans[lane] != 0;
  }
  return largest;
}

void weigh(std::span<const float> logits, float best, float scale, Weights& weights) {
  CHECK_LE(logits.size(), size_t{kPiece});
  Lanes sums = {};
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    Lanes weight;
    load(&logits[i], logits.size() - i, weight);
    weight = (weight - best) * scale;
    make_exp(weight);
    std::memcpy(weights.of + i, &weight, sizeof(weight));
    sums += weight;
  }
  weights.sum = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) weights.sum += sums[lane];
}

double sum_of_exponentials(std::span<const float> logits, float best) {
  DoubleLanes sums = {};
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    Lanes weight;
    load(&logits[i], logits.size() - i, weight);
    weight = weight - best;
    make_exp(weight);
    sums += __builtin_convertvector(weight, DoubleLanes);
  }
  double sum = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return sum;
}

}  // namespace erne::sample
