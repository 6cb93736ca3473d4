#include <array>

#include "tensor/weight_format.h"

namespace erne {
namespace {

constexpr std::array<WeightFormat, 2> kFormats = {{
    {"bfloat16", DType::kBf16, 16},
    {"float32", DType::kF32, 32},
}};

}  // namespace

std::span<const WeightFormat> weight_formats() {
  return kFormats;
}

const WeightFormat* find_weight_format(std::string_view name) {
  for (const WeightFormat& format : kFormats)
    if (name == format.name) return &format;
  return nullptr;
}

const WeightFormat& plain_format(DType dtype) {
  for (const WeightFormat& format : kFormats)
    if (format.stored == dtype) return format;
  check_failed(__FILE__, __LINE__, "a plain weight format", dtype_name(dtype));
}

}  // namespace erne
