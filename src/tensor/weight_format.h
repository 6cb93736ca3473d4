// The table of weight formats: one row each. What a format's bytes mean is in formats/<name>.h.
#pragma once

#include <span>
#include <string_view>

#include "tensor/tensor_view.h"

namespace erne {

struct WeightFormat {
  const char* name;  // as in --quantization
  DType stored;
  int bits;  // per weight, scales apart
};

std::span<const WeightFormat> weight_formats();
const WeightFormat* find_weight_format(std::string_view name);  // nullptr: no such format
// The format of a weight that is not quantised.
const WeightFormat& plain_format(DType dtype);

}  // namespace erne
