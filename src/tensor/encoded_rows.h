// Rows of a matrix as the numbers of a quantised format, row-major: what checkpoints that others
// have encoded hold, before a back end puts them into its own order. What the numbers mean is in
// formats/.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/formats/block_fp8.h"
#include "tensor/formats/ccq.h"
#include "tensor/weight_format.h"

namespace erne {

struct EncodedRows {
  // Room for `count` rows of `in` inputs.
  EncodedRows(const WeightFormat& format, int64_t count, int64_t in)
      : format(&format),
        count(count),
        in(in),
        codes(count * num_codes()),
        scales(count * num_scales()) {
    if (format.encoding != Encoding::kCcq) return;
    locals.resize(count * num_locals());
    code_scales.resize(count);
    code_zeros.resize(count);
  }

  int64_t num_codes() const { return format->encoding == Encoding::kCcq ? ccq::num_bytes(in) : in; }
  int64_t num_scales() const {
    switch (format->encoding) {
      case Encoding::kPlain:
        return 0;
      case Encoding::kSymmetricInt:
        return format->num_runs(in);
      case Encoding::kBlockFp8:
        return block_fp8::num_tiles(in);
      case Encoding::kCcq:
        return 1;
    }
    return 0;
  }
  int64_t num_locals() const { return ccq::num_locals(in); }

  std::span<const uint8_t> codes_of(int64_t row) const {
    return std::span(codes).subspan(row * num_codes(), num_codes());
  }
  std::span<const float> scales_of(int64_t row) const {
    return std::span(scales).subspan(row * num_scales(), num_scales());
  }

  const WeightFormat* format;  // not a plain one
  int64_t count, in;
  std::vector<uint8_t> codes;  // [count, num_codes]: a weight each, in kCcq four
  std::vector<float> scales;   // [count, num_scales]: of runs, of tiles, or super scales
  // kCcq only.
  std::vector<uint8_t> locals;                 // [count, num_locals], one each
  std::vector<float> code_scales, code_zeros;  // [count]
};

}  // namespace erne
