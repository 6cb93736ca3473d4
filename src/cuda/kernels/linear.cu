// y = W x, by whichever kernel has such products. Here those of activations as given.
#include "cuda/kernels/linear.h"

#include "cuda/kernels/kernels.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace kernels {

void linear(Stream& stream, Scratch& scratch, MatrixUnits units, const Linear& w,
            const DeviceView& x, const DeviceView& y) {
  if (!has_fragment_product(w, x.dtype)) return plain_linear(stream, w, x, y);
  const ProductRows rows = product_rows(stream, scratch, w, x);
  if (rows.group > 0) return quantized_linear(stream, scratch, units, w, rows, y);
  with_given_weights(*w.format, [&]<class Weights, LinearInput input>() {
    launch_linear<Weights, input>(stream, scratch, units, w, rows, y);
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
