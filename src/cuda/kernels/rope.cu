// The rotary embedding alone.
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/rotation.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A block for each token.
template <class T, int pairs>
struct Rope {
  static constexpr int kThreads = 128;

  Rotation<T, pairs> rotation;
  int heads;

  size_t shared_bytes() const { return rotation.shared_bytes(); }
  ON_DEVICE void run() const {
    rotation.find_angles(block_x(), kThreads);
    rotation.rotate(block_x(), 0, heads, kThreads);
  }
};

template <class T, int pairs>
void launch_rope(Stream& stream, const DeviceView& qkv, const StagedIndices& positions,
                 const DeviceView& inv_freq, int heads) {
  using P = Pairs<T, pairs>;
  launch(stream, {qkv.shape[0]},
         Rope<T, pairs>{{global<P>(qkv), global<int32_t>(positions.values), global<float>(inv_freq),
                         qkv.shape[1] / (2 * pairs), static_cast<int>(inv_freq.shape[0])},
                        heads});
}

}  // namespace

namespace kernels {

void rope(Stream& stream, const DeviceView& qkv, const StagedIndices& positions,
          const DeviceView& inv_freq, int heads) {
  with_activation(qkv.dtype, [&]<class T>() {
    if (inv_freq.shape[0] % kMostPairs<T> == 0)
      launch_rope<T, kMostPairs<T>>(stream, qkv, positions, inv_freq, heads);
    else
      launch_rope<T, 1>(stream, qkv, positions, inv_freq, heads);
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
