#include "tensor/quantization.h"

#include <array>

namespace erne {
namespace {

constexpr std::array<QuantizationScheme, 4> kSchemes = {{
    {"wint8", "wint8", "wint8", "wint8"},
    {"wint4", "wint4", "wint8", "wint4"},
    {"wint4_g128", "wint4_g128", "wint4_g128", "wint4_g128"},
    {"wint4_g64", "wint4_g64", "wint4_g64", "wint4_g64"},
}};

}  // namespace

Quantization QuantizationScheme::formats(bool has_experts) const {
  return {name, find_weight_format(has_experts ? beside_experts : dense_model),
          find_weight_format(experts)};
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
