#include "sample/lanes.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backend/token_draw.h"
#include "base/check.h"

namespace erne::sample {
namespace {

constexpr size_t kLanes = 4;  // of one SSE register
constexpr float kNone = -std::numeric_limits<float>::infinity();

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef uint32_t Bits __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(float))));
typedef Integers Truths;  // -1: true
typedef uint64_t WideLanes __attribute__((vector_size(kLanes * sizeof(float))));
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

// token_distance() of four.
struct Distances {
  Distances(const Lanes& logits, float best, float units_per_logit) {
    const Lanes distance = (best - logits) * units_per_logit;
    is_near = distance < static_cast<float>(kFarthest);
    units = __builtin_convertvector(is_near ? distance : Lanes{}, Integers);
  }
  Truths is_near;  // than kFarthest
  Integers units;  // 0 where it is not
};

// weight_at() of those that are near; others have none.
Integers weights_at(const Distances& distances) {
  const Integers fraction = distances.units & (kUnitsPerBit - 1);
  const Lanes part = exp2_of_fraction(__builtin_convertvector(fraction, Lanes));
  const Integers exponent = kWeightBits - (distances.units >> kDistanceBits);
  const Integers bits = reinterpret_cast<Integers>(part) + (exponent << 23);
  return __builtin_convertvector(reinterpret_cast<Lanes>(bits) + 0.5f, Integers) &
         distances.is_near;
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

void measure(std::span<const float> logits, float best, float units_per_logit,
             int32_t (&distances)[kPiece]) {
  CHECK_LE(logits.size(), size_t{kPiece});
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    Lanes logit;
    load(&logits[i], logits.size() - i, logit);
    const Distances distance(logit, best, units_per_logit);
    const Integers units = distance.is_near ? distance.units : Integers{} + kFarthest;
    std::memcpy(distances + i, &units, sizeof(units));
  }
}

uint64_t weight_of(std::span<const float> logits, float best, float units_per_logit) {
  WideLanes sums = {};
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    Lanes logit;
    load(&logits[i], logits.size() - i, logit);
    const auto pairs = reinterpret_cast<WideLanes>(weights_at({logit, best, units_per_logit}));
    sums += (pairs & 0xFFFFFFFF) + (pairs >> 32);
  }
  return sums[0] + sums[1];
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
