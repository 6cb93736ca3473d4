// The rotary embedding.
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

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

// A block for each token; angles are computed once for all its heads.
template <class T, int pairs>
struct Rope {
  static constexpr int kThreads = 128;
  using P = Pairs<T, pairs>;

  Global<P> qkv;
  Global<int32_t> positions;
  Global<float> inv_freq;
  int64_t width;  // of a row, in P
  int half;       // D / 2
  int rotated;    // of a row, in P

  size_t shared_bytes() const { return 2 * half * sizeof(float); }

  ON_DEVICE void run() const {
    const Shared<float> sines = shared_memory().as<float>(), cosines = sines + half;
    const auto position = static_cast<float>(positions[block_x()]);
    for (int i = thread_index(); i < half; i += kThreads) {
      const SineCosine of = sine_cosine(position * inv_freq[i]);
      sines.set(i, of.sine);
      cosines.set(i, of.cosine);
    }
    sync_block();
    const Global<P> row = qkv + block_x() * width;
    for (int i = thread_index(); i < rotated; i += kThreads) {
      P piece = row[i];
      const int first = i * pairs % half;
      for (int j = 0; j < pairs; ++j)
        rotate(piece.at[2 * j], piece.at[2 * j + 1], sines[first + j], cosines[first + j]);
      row.set(i, piece);
    }
  }

  ON_DEVICE static void rotate(T& a, T& b, float sine, float cosine) {
    const float x = to_float(a), y = to_float(b);
    a = from_float<T>(fma(x, cosine, -(y * sine)));
    b = from_float<T>(fma(y, cosine, x * sine));
  }
};

template <class T, int pairs>
void launch_rope(Stream& stream, const DeviceView& qkv, const StagedIndices& positions,
                 const DeviceView& inv_freq, int heads) {
  using P = Pairs<T, pairs>;
  const auto half = static_cast<int>(inv_freq.shape[0]);
  launch(stream, {qkv.shape[0]},
         Rope<T, pairs>{global<P>(qkv), global<int32_t>(positions.values), global<float>(inv_freq),
                        qkv.shape[1] / (2 * pairs), half, heads * half / pairs});
}

}  // namespace

namespace kernels {

void rope(Stream& stream, const DeviceView& qkv, const StagedIndices& positions,
          const DeviceView& inv_freq, int heads) {
  with_activation(qkv.dtype, [&]<class T>() {
    constexpr int kMost = static_cast<int>(sizeof(Words4) / (2 * sizeof(T)));
    if (inv_freq.shape[0] % kMost == 0)
      launch_rope<T, kMost>(stream, qkv, positions, inv_freq, heads);
    else
      launch_rope<T, 1>(stream, qkv, positions, inv_freq, heads);
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
