// The table of weight formats: one row each. What a format's values are is in formats/.
#pragma once

#include <span>
#include <string_view>

#include "tensor/tensor_view.h"

namespace erne {

struct WeightFormat {
  const char* name;            // as in --quantization
  DType stored;                // of plain weights; kU8: codes of formats/symmetric_int.h
  int bits;                    // per weight, scales apart
  int group = 0;               // codes: inputs that share a scale; 0: all of a row
  bool covers_tables = false;  // codes: the embedding table and the head, too
  bool full_range = false;     // codes: the largest weight is -2^(bits - 1), not the other end

  bool is_quantized() const { return stored == DType::kU8; }
  // Inputs [i * run_length(in), ...) of a row share a scale.
  int64_t run_length(int64_t in) const { return group > 0 ? group : in; }
  // Inputs that share a scale where 8-bit integers multiply the codes.
  int input_group() const { return group > 0 ? group : 128; }
  int64_t num_runs(int64_t in) const { return (in + run_length(in) - 1) / run_length(in); }
  // Of a matrix [out, in]: weights and scales, before any padding of a back end's.
  int64_t bytes(int64_t out, int64_t in) const;
};

std::span<const WeightFormat> weight_formats();
const WeightFormat* find_weight_format(std::string_view name);  // nullptr: no such format
// The format of a weight that is not quantised.
const WeightFormat& plain_format(DType dtype);

}  // namespace erne
