// The table of weight formats, one row each, and the table of encodings, one row each: which bytes
// stand for weights and what they mean. What a format's values are is in formats/; in which order a
// back end keeps them is the back end's own.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/tensor_view.h"

namespace erne {

enum class Encoding : uint8_t {
  kPlain,         // bfloat16 or float32
  kSymmetricInt,  // formats/symmetric_int.h
  kBlockFp8,      // formats/block_fp8.h
  kCcq,           // formats/ccq.h
};
inline constexpr int kNumEncodings = static_cast<int>(Encoding::kCcq) + 1;

// What a quantised matrix is multiplied by; of a plain one, activations are always as they are.
enum class LinearInput : uint8_t {
  kAsGiven,  // "weight-only": the product of the weights' values and the activations
  kInt8,     // 8-bit integers, one scale per row and WeightFormat::input_group inputs
  kFp8,      // formats/block_fp8.h, one scale per row and 128 inputs
};

struct EncodingRules;

struct WeightFormat {
  const char* name;
  Encoding encoding;
  DType stored;                               // of plain weights; kU8: of all others
  int bits;                                   // per weight, scales apart
  LinearInput input = LinearInput::kAsGiven;  // that goes with it, where inputs are quantised
  int group = 0;               // kSymmetricInt: inputs that share a scale; 0: all of a row
  bool covers_tables = false;  // the embedding table and the head, too
  bool full_range = false;     // kSymmetricInt: the largest weight is -2^(bits - 1)

  bool is_quantized() const { return encoding != Encoding::kPlain; }
  // True if the codes and scales of one format are those of the other.
  bool has_codes_of(const WeightFormat& other) const {
    return encoding == other.encoding && bits == other.bits && group == other.group;
  }
  // kSymmetricInt: inputs [i * group_length(in), ...) of a row share a scale.
  int64_t group_length(int64_t in) const { return group > 0 ? group : in; }
  int64_t num_groups(int64_t in) const { return (in + group_length(in) - 1) / group_length(in); }
  // Inputs that share a scale where they are quantised.
  int input_group() const { return group > 0 ? group : 128; }
  const EncodingRules& rules() const;
  // Bytes of a matrix [out, in]: weights and scales, before a back end pads them.
  int64_t bytes(int64_t out, int64_t in) const;
};

struct EncodedRows;

// What an encoding owes to those who know nothing of it. All are set, but for kPlain, which has
// bytes() only.
struct EncodingRules {
  // WeightFormat::bytes.
  int64_t (*bytes)(const WeightFormat& format, int64_t out, int64_t in);
  // Bytes of the codes in one row of EncodedRows.
  int64_t (*num_codes)(int64_t in) = nullptr;
  int64_t (*num_scales)(const WeightFormat& format, int64_t in) = nullptr;
  // Rows [first, first + rows) of `out` from float32 [rows, in], which begin where scales do: at a
  // multiple of rows_at_once.
  void (*encode)(std::span<const float> weights, EncodedRows& out, int64_t first) = nullptr;
  int64_t rows_at_once = 1;
  // The weights of one row.
  void (*decode)(const EncodedRows& rows, int64_t row, std::span<float> out) = nullptr;
  // Inputs that begin at multiples of column_unit() have codes and scales of their own:
  // take_columns() makes a row of `to` of those of a row of `from` that begin at `column`.
  int64_t (*column_unit)(const WeightFormat& format) = nullptr;
  void (*take_columns)(const EncodedRows& from, int64_t row, int64_t column, EncodedRows& to,
                       int64_t to_row) = nullptr;
};

std::span<const WeightFormat> weight_formats();
const WeightFormat* find_weight_format(std::string_view name);  // nullptr: no such format
// The format of a weight that is not quantised.
const WeightFormat& plain_format(DType dtype);

}  // namespace erne
