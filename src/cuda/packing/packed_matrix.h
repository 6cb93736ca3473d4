// A weight as it lies in the device's memory, for the host that places it and for kernels that read
// it. cuda/packing/fragments.h says in which order.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "cuda/packing/fragments.h"
#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"

namespace erne::cuda {

// Sizes and places; the address is with whoever has the matrix.
struct PackedMatrix {
  Encoding encoding;
  int bits;
  bool is_fragmented;  // else row by row
  int group;           // kSymmetricInt, kBlockFp8: inputs that share a scale
  int offset;          // kSymmetricInt: what a code is more than its integer
  int64_t out, in;
  int64_t panel_bytes;  // of fragments, and of local scales
  int64_t locals_at;    // kCcq: bytes from the beginning of a panel
  int64_t row_bytes;    // of float32
  int64_t scales_at;    // bytes from the beginning of the matrix: float32 [panels][num_scales][16]
  int64_t num_scales;   // of a row
  int64_t bytes;

  PackedMatrix(const WeightFormat& format, int64_t out, int64_t in);
  explicit PackedMatrix(const Linear& w) : PackedMatrix(*w.format, w.out, w.in) {}

  // Which of the scales belongs to output n and group i.
  constexpr int64_t scale_index(int64_t n, int64_t i) const {
    return (n / kPanel * num_scales + i) * kPanel + n % kPanel;
  }
};

}  // namespace erne::cuda
