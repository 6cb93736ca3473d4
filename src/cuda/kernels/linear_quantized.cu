// y = W x where activations are 8-bit numbers with scales.
#include "cuda/kernels/linear.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace kernels {

void quantized_linear(Stream& stream, Scratch& scratch, MatrixUnits units, const Linear& w,
                      const ProductRows& x, const DeviceView& y) {
  with_quantized_weights(*w.format, w.input, [&]<class Weights, LinearInput input>() {
    launch_linear<Weights, input>(stream, scratch, units, w, x, y);
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
