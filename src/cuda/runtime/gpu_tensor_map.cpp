#include <cuda_runtime.h>
#include <fmt/format.h>

#include "base/check.h"
#include "cuda/language/tensor_map.h"
#include "cuda/runtime/cuda_call.h"

namespace erne::cuda::inline gpu {
namespace {

// The driver's own function: nothing is linked to it, so that the binary starts without one.
using EncodeTiled = decltype(&cuTensorMapEncodeTiled);
EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    constexpr unsigned kSinceCuda12 = 12000;
    void* found = nullptr;
    cudaDriverEntryPointQueryResult status;
    cuda_call("cudaGetDriverEntryPointByVersion",
              cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, kSinceCuda12,
                                               cudaEnableDefault, &status));
    if (status != cudaDriverEntryPointSuccess || found == nullptr)
      throw DeviceFailure("the GPU's driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<EncodeTiled>(found);
  }();
  return function;
}

}  // namespace

TensorMap make_tensor_map(const TensorShape& shape) {
  const bool is_stack = shape.matrices > 0;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(shape.columns),
                              static_cast<cuuint64_t>(shape.rows),
                              static_cast<cuuint64_t>(shape.matrices)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(shape.row_bytes),
                                static_cast<cuuint64_t>(shape.matrix_bytes)};
  const cuuint32_t box[] = {TensorShape::kBoxColumns, static_cast<cuuint32_t>(shape.box_rows), 1};
  const cuuint32_t steps[] = {1, 1, 1};
  TensorMap map;
  const CUresult made = encode_tiled()(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, is_stack ? 3 : 2, const_cast<void*>(shape.data),
      sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CHECK_EQ(static_cast<int>(made), static_cast<int>(CUDA_SUCCESS));
  return map;
}

}  // namespace erne::cuda::inline gpu
