#include <array>

#include "tensor/weight_format.h"

namespace erne {
namespace {

constexpr std::array<WeightFormat, 6> kFormats = {{
    {"bfloat16", DType::kBf16, 16},
    {"float32", DType::kF32, 32},
    // FastDeploy's: a scale per output; tables stay as they are.
    {"wint8", DType::kU8, 8},
    {"wint4", DType::kU8, 4},
    // Ours, for CPUs: all matrices, so that a step reads little more than half a byte per weight.
    {"wint4_g128", DType::kU8, 4, 128, true, true},
    {"wint4_g64", DType::kU8, 4, 64, true, true},
}};

}  // namespace

int64_t WeightFormat::bytes(int64_t out, int64_t in) const {
  const int64_t scales = is_quantized() ? out * num_runs(in) : 0;
  return out * ((in * bits + 7) / 8) + scales * static_cast<int64_t>(sizeof(Bf16));
}

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
    if (format.stored == dtype && !format.is_quantized()) return format;
  check_failed(__FILE__, __LINE__, "a plain weight format", dtype_name(dtype));
}

}  // namespace erne
