// The rotary embedding of one token, which a block of threads computes.
#pragma once

#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct SineCosine {
  float sine, cosine;
};

// For |angle| < 2^25, within 2^-32 before the last rounding. In double precision: angle = n pi / 2
// + x, |x| <= pi / 4, with pi / 2 in two parts, of which the first has 28 bits, so that n times it
// is exact; then both series. The terms that are left out are below 2^-36.
ON_DEVICE SineCosine sine_cosine(float angle) {
  constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  constexpr double kHalfPiHigh = 0x1.921fb54p+0, kHalfPiLow = 0x1.10b4611a62633p-30;
  constexpr double kRoundToInt = 0x1.8p52;  // adding it leaves an integer in the low bits
  const double wide = static_cast<double>(angle);
  const double shifted = wide * kTwoOverPi + kRoundToInt;
  const double n = shifted - kRoundToInt;
  const double x = (wide - n * kHalfPiHigh) - n * kHalfPiLow, square = x * x;
  constexpr double kSine[] = {-1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6};
  constexpr double kCosine[] = {1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320,
                                -1.0 / 720,      1.0 / 24,       -1.0 / 2};
  double sine = 0, cosine = 0;
  for (const double factor : kSine) sine = sine * square + factor;
  for (const double factor : kCosine) cosine = cosine * square + factor;
  const auto s = static_cast<float>(x + x * (square * sine));
  const auto c = static_cast<float>(1 + square * cosine);
  const auto quarter = static_cast<uint32_t>(bits_as<uint64_t>(shifted)) & 3;
  const float first = quarter & 1 ? c : s, second = quarter & 1 ? s : c;
  return {quarter & 2 ? -first : first, (quarter + 1) & 2 ? -second : second};
}

// Neighbouring pairs that a thread rotates at once.
template <class T, int pairs>
struct alignas(2 * sizeof(T) * pairs) Pairs {
  T at[2 * pairs];
};

// Angles are computed once for all heads of a token.
template <class T, int pairs>
struct Rotation {
  using P = Pairs<T, pairs>;

  Global<P> qkv;
  Global<int32_t> positions;
  Global<float> inv_freq;
  int64_t width;  // of a row, in P
  int half;       // D / 2

  size_t shared_bytes() const { return 2 * half * sizeof(float); }

  // Into shared memory, by `threads` threads.
  ON_DEVICE void find_angles(int token, int threads) const {
    const Shared<float> sines = shared_memory().as<float>(), cosines = sines + half;
    const auto position = static_cast<float>(positions[token]);
    for (int i = thread_index(); i < half; i += threads) {
      const SineCosine of = sine_cosine(position * inv_freq[i]);
      sines.set(i, of.sine);
      cosines.set(i, of.cosine);
    }
    sync_block();
  }

  // Heads [first, first + count) of the token whose angles have been found.
  ON_DEVICE void rotate(int token, int first, int count, int threads) const {
    const Shared<float> sines = shared_memory().as<float>(), cosines = sines + half;
    const int head_pieces = half / pairs;
    const Global<P> heads = qkv + (token * width + int64_t{first} * head_pieces);
    for (int i = thread_index(); i < count * head_pieces; i += threads) {
      P piece = heads[i];
      const int angle = i * pairs % half;
      for (int j = 0; j < pairs; ++j)
        rotate_pair(piece.at[2 * j], piece.at[2 * j + 1], sines[angle + j], cosines[angle + j]);
      heads.set(i, piece);
    }
  }

  ON_DEVICE static void rotate_pair(T& a, T& b, float sine, float cosine) {
    const float x = to_float(a), y = to_float(b);
    a = from_float<T>(fma(x, cosine, -(y * sine)));
    b = from_float<T>(fma(y, cosine, x * sine));
  }
};

// Pairs that a thread takes at once where the size of a head allows it.
template <class T>
constexpr int kMostPairs = static_cast<int>(sizeof(Words4) / (2 * sizeof(T)));

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
