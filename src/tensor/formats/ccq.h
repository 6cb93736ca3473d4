// wint2: convolutional code quantisation (CCQ, arXiv 2507.07145), decoded as FastDeploy's
// checkpoints have it (docs/ernie-models.md, 8.3). A byte stands for four inputs of one
// output:
//
//   v   = floor(byte * code_scale + code_zp + 0.5), 15 bits; the last two belong to the output
//   c_j = (v >> (9 - 3j) & 63) - 32, j = 0..3: windows of six bits that overlap by three
//   w   = c_j * (local * super), rounded to bfloat16: `local` is four bits for 64 inputs, two of
//         them in a byte with the first in its high half, `super` a bfloat16 of the output
//
// A row of EncodedRows: the bytes, then the local scales, a byte each; as scales the super scale,
// the code scale and the code zero.
//
// The encoder is ours. It takes code_scale = kCodeScale, code_zp = 0 for all outputs: of a thousand
// such numbers, the one whose 256 codes lie best for normally distributed weights (mean squared
// error 0.113 of their variance; the best four levels of a scalar, Lloyd-Max, leave 0.118).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "tensor/encoded_rows.h"
#include "tensor/tensor_view.h"
#include "tensor/weight_format.h"

namespace erne::ccq {

constexpr int kPerByte = 4;
constexpr int kLocalGroup = 64;
constexpr int kLargestLocal = 15;
constexpr float kCodeScale = 123.125f;

constexpr int64_t num_bytes(int64_t in) {
  return (in + kPerByte - 1) / kPerByte;
}
constexpr int64_t num_locals(int64_t in) {
  return (in + kLocalGroup - 1) / kLocalGroup;
}

// v is never negative and below 2^15 for the scales that checkpoints have; others are cut off.
constexpr int code_of(uint8_t byte, float code_scale, float code_zp) {
  const float v = std::floor(static_cast<float>(byte) * code_scale + code_zp + 0.5f);
  return v >= 0 && v < 32768 ? static_cast<int>(v) : 0;
}
constexpr int window(int code, int j) {
  return (code >> (9 - 3 * j) & 63) - 32;
}
constexpr float decode(int code, int j, int local, Bf16 super) {
  const float scale = static_cast<float>(local) * to_float(super);
  return to_float(to_bf16(static_cast<float>(window(code, j)) * scale));
}

// One output's numbers.
struct Row {
  std::span<uint8_t> bytes;   // [num_bytes]
  std::span<uint8_t> locals;  // [num_locals], one each
  Bf16 super = {};
};

class Encoder {
 public:
  Encoder() {
    for (int byte = 0; byte < 256; ++byte) {
      const int code = code_of(static_cast<uint8_t>(byte), kCodeScale, 0);
      size_[byte] = 0;
      for (int j = 0; j < kPerByte; ++j) {
        windows_[j][byte] = static_cast<float>(window(code, j));
        size_[byte] += windows_[j][byte] * windows_[j][byte];
      }
    }
  }

  // Weights that are not finite give a super scale that is not.
  void encode(std::span<const float> weights, Row& row) const {
    const auto in = static_cast<int64_t>(weights.size());
    float most = 0;
    for (int64_t g = 0; g < num_locals(in); ++g) most = std::max(most, scale_of(group(weights, g)));
    bool finite = true;
    for (const float w : weights) finite = finite && std::isfinite(w);
    row.super = to_bf16(finite ? most / kLargestLocal : std::numeric_limits<float>::quiet_NaN());
    for (int64_t g = 0; g < num_locals(in); ++g) {
      const std::span<const float> run = group(weights, g);
      const float wanted = most > 0 ? scale_of(run) / most * kLargestLocal : 0;
      const int local =
          std::clamp(static_cast<int>(wanted + 0.5f), run_is_zero(run) ? 0 : 1, kLargestLocal);
      row.locals[g] = static_cast<uint8_t>(local);
      const float scale = static_cast<float>(local) * to_float(row.super);
      for (size_t k = 0; k < run.size(); k += kPerByte)
        row.bytes[(g * kLocalGroup + static_cast<int64_t>(k)) / kPerByte] =
            nearest(run.subspan(k, std::min<size_t>(kPerByte, run.size() - k)), scale);
    }
  }

 private:
  // A scale per standard deviation of the weights. 18.5 is the root mean square of the windows,
  // which are uniform numbers of six bits; at 1.1 of it the codes cover normally distributed
  // weights best.
  static constexpr float kScalePerDeviation = 1.1f / 18.5f;

  static std::span<const float> group(std::span<const float> weights, int64_t g) {
    const int64_t begin = g * kLocalGroup;
    return weights.subspan(begin, std::min<int64_t>(kLocalGroup, std::ssize(weights) - begin));
  }
  static bool run_is_zero(std::span<const float> run) {
    return std::ranges::all_of(run, [](float w) { return w == 0; });
  }
  static float scale_of(std::span<const float> run) {
    float squares = 0;
    for (const float w : run) squares += w * w;
    return std::sqrt(squares / static_cast<float>(run.size())) * kScalePerDeviation;
  }

  // The byte whose windows times scale are nearest to up to four weights: the least |s c|^2 - 2 s w
  // c, divided by s.
  uint8_t nearest(std::span<const float> weights, float scale) const {
    std::array<float, 4> w = {};
    std::ranges::copy(weights, w.begin());
    std::array<float, 256> excess;
    for (int byte = 0; byte < 256; ++byte)
      excess[byte] =
          scale * size_[byte] - 2 * (w[0] * windows_[0][byte] + w[1] * windows_[1][byte] +
                                     w[2] * windows_[2][byte] + w[3] * windows_[3][byte]);
    float least = excess[0];
    for (const float e : excess) least = e < least ? e : least;
    for (int byte = 0; byte < 256; ++byte)
      if (excess[byte] == least) return static_cast<uint8_t>(byte);
    return 0;
  }

  std::array<std::array<float, 256>, kPerByte> windows_;
  std::array<float, 256> size_;
};

// The numbers of a row of EncodedRows.
enum Scale { kSuper, kCode, kZero, kNumScales };
inline std::span<const uint8_t> bytes_of(const EncodedRows& rows, int64_t row) {
  return rows.codes_of(row).first(num_bytes(rows.in));
}
inline std::span<const uint8_t> locals_of(const EncodedRows& rows, int64_t row) {
  return rows.codes_of(row).subspan(num_bytes(rows.in));
}

inline void encode_rows(std::span<const float> weights, EncodedRows& out, int64_t first) {
  static const Encoder encoder;
  for (int64_t begin = 0; begin < std::ssize(weights); begin += out.in, ++first) {
    const std::span<uint8_t> codes = out.codes_of(first);
    Row row{codes.first(num_bytes(out.in)), codes.subspan(num_bytes(out.in))};
    encoder.encode(weights.subspan(begin, out.in), row);
    const std::span<float> scales = out.scales_of(first);
    scales[kSuper] = to_float(row.super);
    scales[kCode] = kCodeScale;
    scales[kZero] = 0;
  }
}

inline void decode_row(const EncodedRows& rows, int64_t row, std::span<float> out) {
  const auto bytes = bytes_of(rows, row), locals = locals_of(rows, row);
  const auto scales = rows.scales_of(row);
  for (int64_t k = 0; k < rows.in; ++k)
    out[k] =
        decode(code_of(bytes[k / kPerByte], scales[kCode], scales[kZero]),
               static_cast<int>(k % kPerByte), locals[k / kLocalGroup], to_bf16(scales[kSuper]));
}

inline void take_columns(const EncodedRows& from, int64_t row, int64_t column, EncodedRows& to,
                         int64_t to_row) {
  const std::span<uint8_t> codes = to.codes_of(to_row);
  const int64_t bytes = num_bytes(to.in), locals = num_locals(to.in);
  std::ranges::copy(bytes_of(from, row).subspan(column / kPerByte, bytes), codes.begin());
  std::ranges::copy(locals_of(from, row).subspan(column / kLocalGroup, locals),
                    codes.subspan(bytes).begin());
  std::ranges::copy(from.scales_of(row), to.scales_of(to_row).begin());
}

inline constexpr EncodingRules kRules{
    .bytes =
        [](const WeightFormat&, int64_t out, int64_t in) {
          // Two local scales to a byte; super scale, code scale and code zero.
          return out * (num_bytes(in) + (num_locals(in) + 1) / 2 + 2 + 4 + 4);
        },
    .num_codes = [](int64_t in) { return num_bytes(in) + num_locals(in); },
    .num_scales = [](const WeightFormat&, int64_t) { return int64_t{kNumScales}; },
    .encode = encode_rows,
    .decode = decode_row,
    .column_unit = [](const WeightFormat&) { return int64_t{kLocalGroup}; },
    .take_columns = take_columns,
};

}  // namespace erne::ccq
