#include "tensor/quantization.h"

#include <array>

namespace erne {
namespace {

constexpr std::array<QuantizationScheme, 9> kSchemes = {{
    {"wint8", "wint8", "wint8", "wint8"},
    {"wint4", "wint4", "wint8", "wint4"},
    {"wint2", "wint8", "wint8", "wint2", "wint4"},  // as the released 300B-A47B-2Bits
    {"block_wise_fp8", "block_wise_fp8", "block_wise_fp8", "block_wise_fp8"},
    {"w4a8", "wint8", "wint8", "wint4"},
    {"w4a8c8", "wint8", "wint8", "wint4", nullptr, "int8"},
    {"w4afp8", "block_wise_fp8", "block_wise_fp8", "w4afp8"},
    {"wint4_g128", "wint4_g128", "wint4_g128", "wint4_g128"},
    {"wint4_g64", "wint4_g64", "wint4_g64", "wint4_g64"},
}};

}  // namespace

Quantization QuantizationScheme::formats(bool has_experts) const {
  return {name, find_weight_format(has_experts ? beside_experts : dense_model),
          find_weight_format(experts), find_weight_format(first_experts ? first_experts : experts)};
}

std::span<const QuantizationScheme> quantization_schemes() {
  return kSchemes;
}

const QuantizationScheme* find_quantization(std::string_view name) {
  for (const QuantizationScheme& scheme : kSchemes)
    if (name == scheme.name) return &scheme;
  return nullptr;
}

}  // namespace erne
