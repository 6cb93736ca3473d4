// Rows of activations in the form in which products on the matrix units read them.
#pragma once

#include "backend/backend.h"
#include "cuda/language/device_code.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct Stream;
class Scratch;

// Whole units of kSliceUnit inputs, zeros behind the last. kAsGiven, kFp8: bfloat16. kInt8:
// integers, where each four lie as 0, 2, 1, 3, as those of fragments do (cuda/packing/fragments.h).
struct ProductRows {
  Global<std::byte> numbers;  // [num_rows, row_bytes]
  int64_t row_bytes = 0;      // a multiple of 16
  Global<float> scales;       // [groups, num_rows]; kAsGiven: none
  int64_t num_rows = 0;
  int group = 0;  // inputs that share a scale
};

// Whether w times activations of this type is a product on the matrix units.
bool has_fragment_product(const Linear& w, DType x);
// Whether it is one of bfloat16 numbers, which warpgroups can compute.
bool has_warpgroup_product(const Linear& w, DType x);

namespace kernels {

// What `w` is multiplied by: x itself where that will do, else rows in scratch memory. kAsGiven: x
// is bfloat16.
ProductRows product_rows(Stream& stream, Scratch& scratch, const Linear& w, const DeviceView& x);
// Of a mixture: rows of each token or of each pair in, and of each pair out where w has an
// input_largest for each expert. experts [T, k]: of the pairs.
ProductRows product_rows(Stream& stream, Scratch& scratch, const StackedLinear& w,
                         const DeviceView& experts, const DeviceView& x);

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
