// wint8, wint4, wint4_g128, wint4_g64: signed integers around zero with one scale for a group of a
// row's weights.
//
//   FastDeploy's (wint8, wint4; docs/ernie-models.md, 8.1 and 8.2), a group is a whole row:
//     scale = bfloat16(a / L), a the largest |w|, L = 127 (8 bits) or 7 (4 bits)
//     q     = w * (L / a), rounded to nearest, halves away from zero; in [-L, L]
//   ours (wint4_g128, wint4_g64): the weight m that is largest in size becomes -8, so that all 16
//   integers are used and the steps are finer:
//     scale = bfloat16(m / -8), q = w * (-8 / m), rounded likewise, at most 7
//   both: all 0 where the group is;  w' = q * scale, exact in float32
//
// A weight is stored as its code q + offset, which is never negative: 8 bits 1..255, 4 bits 0..15.
// A row of EncodedRows: a byte for each code, a scale for each group.
// How codes and scales lie in memory is the back end's own (CPU: cpu/packing/integer_panels.h).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "tensor/encoded_rows.h"
#include "tensor/weight_format.h"

namespace erne::symmetric_int {

constexpr int offset(int bits) {
  return 1 << (bits - 1);
}

// The weight of a group that is largest in size, or NaN where any is not finite. Sizes are compared
// as the integers their bits are, which a compiler can do for many at a time.
inline float largest_of(std::span<const float> weights) {
  constexpr int32_t kSize = 0x7FFFFFFF, kInfinity = 0x7F800000;
  const auto size_of = [](float w) { return std::bit_cast<int32_t>(w) & kSize; };
  int32_t most = 0;
  for (const float w : weights) most = std::max(most, size_of(w));
  if (most >= kInfinity) return std::numeric_limits<float>::quiet_NaN();
  return *std::ranges::find(weights, most, size_of);
}

// Encodes one group, which is not empty; returns its scale. codes: as many as weights. Weights that
// are not finite give a scale that is not, so that the damage stays visible.
inline Bf16 encode(std::span<const float> weights, const WeightFormat& format, uint8_t* codes) {
  const int middle = offset(format.bits);
  const auto limit = static_cast<float>(format.full_range ? -middle : middle - 1);
  const float signed_largest = largest_of(weights);
  const float largest = format.full_range ? signed_largest : std::fabs(signed_largest);
  // 0 where the group is 0, damaged, or so small that the quotient overflows.
  const float quotient = largest == 0 ? 0 : limit / largest;
  const float inverse = std::isfinite(quotient) ? quotient : 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const float w = std::isfinite(largest) ? weights[i] : 0;
    const float q = w * inverse;
    const int rounded = static_cast<int>(q + (q < 0 ? -0.5f : 0.5f));
    codes[i] = static_cast<uint8_t>(std::min(rounded, middle - 1) + middle);
  }
  return to_bf16(largest / limit);
}

inline float decode(uint8_t code, const WeightFormat& format, Bf16 scale) {
  return static_cast<float>(code - offset(format.bits)) * to_float(scale);
}

inline int64_t num_bytes(const WeightFormat& format, int64_t out, int64_t in) {
  return out *
         ((in * format.bits + 7) / 8 + format.num_groups(in) * static_cast<int64_t>(sizeof(Bf16)));
}

inline void encode_rows(std::span<const float> weights, EncodedRows& out, int64_t first) {
  const int64_t length = out.format->group_length(out.in);
  for (int64_t begin = 0; begin < std::ssize(weights); begin += out.in, ++first)
    for (int64_t group = 0; group < out.num_scales; ++group) {
      const int64_t k = group * length, count = std::min(length, out.in - k);
      out.scales_of(first)[group] = to_float(
          encode(weights.subspan(begin + k, count), *out.format, out.codes_of(first).data() + k));
    }
}

inline void decode_row(const EncodedRows& rows, int64_t row, std::span<float> out) {
  const int64_t length = rows.format->group_length(rows.in);
  for (int64_t k = 0; k < rows.in; ++k)
    out[k] = decode(rows.codes_of(row)[k], *rows.format, to_bf16(rows.scales_of(row)[k / length]));
}

inline constexpr EncodingRules kRules{
    .bytes = num_bytes,
    .num_codes = [](int64_t in) { return in; },
    .num_scales = [](const WeightFormat& format, int64_t in) { return format.num_groups(in); },
    .encode = encode_rows,
    .decode = decode_row,
    .column_unit = [](const WeightFormat& format) { return int64_t{std::max(format.group, 1)}; },
    .take_columns = take_codes_and_scales,
};

}  // namespace erne::symmetric_int
