// Rows of a matrix as the numbers of a quantised format, row-major: what encoders make, and what
// checkpoints that others have encoded hold, before a back end puts them into its own order. What
// the numbers of a row are is said in formats/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/weight_format.h"

namespace erne {

struct EncodedRows {
  // Room for `count` rows of `in` inputs. `format` is not a plain one.
  EncodedRows(const WeightFormat& format, int64_t count, int64_t in)
      : format(&format),
        count(count),
        in(in),
        num_codes(format.rules().num_codes(in)),
        num_scales(format.rules().num_scales(format, in)),
        codes(count * num_codes),
        scales(count * num_scales) {}

  std::span<const uint8_t> codes_of(int64_t row) const {
    return std::span(codes).subspan(row * num_codes, num_codes);
  }
  std::span<uint8_t> codes_of(int64_t row) {
    return std::span(codes).subspan(row * num_codes, num_codes);
  }
  std::span<const float> scales_of(int64_t row) const {
    return std::span(scales).subspan(row * num_scales, num_scales);
  }
  std::span<float> scales_of(int64_t row) {
    return std::span(scales).subspan(row * num_scales, num_scales);
  }

  const WeightFormat* format;
  int64_t count, in;
  int64_t num_codes, num_scales;  // of a row
  std::vector<uint8_t> codes;     // [count, num_codes]
  std::vector<float> scales;      // [count, num_scales]
};

// EncodingRules::take_columns where a row has a code for each input and a scale for each
// column_unit() of them, or one for all.
inline void take_codes_and_scales(const EncodedRows& from, int64_t row, int64_t column,
                                  EncodedRows& to, int64_t to_row) {
  const int64_t unit = from.format->rules().column_unit(*from.format);
  const int64_t first_scale = from.num_scales > 1 ? column / unit : 0;
  std::ranges::copy(from.codes_of(row).subspan(column, to.num_codes), to.codes_of(to_row).begin());
  std::ranges::copy(from.scales_of(row).subspan(first_scale, to.num_scales),
                    to.scales_of(to_row).begin());
}

}  // namespace erne
