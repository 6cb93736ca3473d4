#include "cuda/kernels/expert_product.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace kernels {

void multiply_pairs(Stream& stream, Scratch& scratch, const StackedLinear& w,
                    const ExpertLists& lists, const PairInputs& x, const PairOutputs& y) {
  if (x.rows.group > 0) return multiply_quantized_pairs(stream, scratch, w, lists, x, y);
  with_given_weights(*w.format, [&]<class Weights, LinearInput input>() {
    launch_pairs<Weights, input>(stream, scratch, w, lists, x, y);
  });
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
