// What kernels of attention share: which token belongs to which row, where its keys are, and how
// sums of segments are merged (arithmetic.h, "Attention").
#pragma once

#include "backend/staged_step.h"
#include "cuda/arithmetic.h"
#include "cuda/kernels/kv_numbers.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

ON_DEVICE float larger(float a, float b) {
  return b > a ? b : a;
}

struct AttentionRows {
  Global<RaggedRow> rows;
  Global<int32_t> blocks;
  int num_rows;

  explicit AttentionRows(const StagedBatch& batch)
      : rows(DeviceAccess::pointer(batch.rows.data)),
        blocks(DeviceAccess::pointer(batch.blocks.data)),
        num_rows(static_cast<int>(batch.num_rows())) {}

  // Which row a token of the step belongs to.
  ON_DEVICE RaggedRow row_of(int token) const {
    int first = 0, end = num_rows;  // it is one of these
    while (end - first > 1) {
      const int middle = (first + end) / 2;
      if (rows[middle].first_token <= token)
        first = middle;
      else
        end = middle;
    }
    return rows[first];
  }
  // The block of KV memory that has a position.
  ON_DEVICE int block_of(const RaggedRow& row, int position, const KvPlaces& places) const {
    return blocks[row.first_block + position / places.block_tokens];
  }
};

// What two sums are multiplied by where they become one, relative to the larger of their maxima.
struct MergeFactors {
  float max, of_into, of_from;
};
ON_DEVICE MergeFactors merge_factors(float into, float from) {
  const float max = larger(into, from);
  return {max, exp_f32(into - max), exp_f32(from - max)};
}
// Of maxima in units of log2.
ON_DEVICE MergeFactors merge_factors_log2(float into, float from) {
  const float max = larger(into, from);
  return {max, exp2_fast(into - max), exp2_fast(from - max)};
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
