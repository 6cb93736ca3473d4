#include "apps/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace erne::apps {
namespace {

constexpr std::string_view kPlain[] = {"none", "None", "bfloat16"};
constexpr std::string_view kSchemesNotBuilt[] = {"wfp8afp8", "tensor_wise_fp8", "kvcache",
                                                 "mix_quant"};

std::string allowed_names() {
  std::string names = "none";
  for (const QuantizationScheme& scheme : quantization_schemes())
    names += fmt::format(", {}", scheme.name);
  return names;
}

}  // namespace

Result<const QuantizationScheme*> parse_quantization(std::string_view name) {
  if (std::ranges::find(kPlain, name) != std::end(kPlain)) return nullptr;
  if (const QuantizationScheme* scheme = find_quantization(name); scheme != nullptr) return scheme;
  // FastDeploy also takes a JSON object with a type for each part of a model.
  if (std::ranges::find(kSchemesNotBuilt, name) != std::end(kSchemesNotBuilt) ||
      name.starts_with('{'))
    return unsupported(
        fmt::format("--quantization {} is not built yet; built are {}", name, allowed_names()),
        "--quantization");
  return invalid(fmt::format("--quantization is \"{}\"; allowed are {}", name, allowed_names()),
                 "--quantization");
}

const char* quantization_help() {
  static const std::string help = fmt::format(
      "format that weights are quantised to while they are loaded: {}; docs/quantization.md says "
      "what each does to which part",
      allowed_names());
  return help.c_str();
}

bool quantizes_activations(std::string_view name) {
  CHECK(name == "auto" || name == "none");
  return name == "auto";
}

}  // namespace erne::apps
