// y = W x in plain loops: any format, any type of activations, as given. For what the matrix units
// have no products of.
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/plain_product.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A warp for each output of each row.
template <class X, class Y>
struct PlainLinear {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarp;

  PackedReader w;
  Global<X> x;
  Global<Y> y;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    const int64_t n = int64_t{block_x()} * kWarps + warp(), row = block_y();
    if (n >= w.matrix.out) return;
    const float sum = plain_product(w, n, x + row * w.matrix.in);
    if (lane() == 0) y.set(row * w.matrix.out + n, from_float<Y>(sum));
  }
};

}  // namespace

namespace kernels {

void plain_linear(Stream& stream, const Linear& w, const DeviceView& x, const DeviceView& y) {
  with_activation(x.dtype, [&]<class X>() {
    with_activation(y.dtype, [&]<class Y>() {
      using Kernel = PlainLinear<X, Y>;
      launch(stream, {pieces(w.out, Kernel::kWarps), x.shape[0]},
             Kernel{PackedReader(w), global<X>(x), global<Y>(y)});
    });
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
