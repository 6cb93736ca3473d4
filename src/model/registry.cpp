#include "model/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <vector>

#include "model/ernie_text.h"
#include "model/tensor_specs.h"
#include "weights/safetensors_header.h"

namespace erne::model {
namespace {

template <class T>
std::unique_ptr<Model> make(const ErnieConfig& config, const CheckpointFacts& facts,
                            Backend& backend, DType activation, weights::WeightStore weights) {
  return std::make_unique<T>(config, facts, backend, activation, std::move(weights));
}

constexpr std::array<Architecture, 3> kArchitectures = {{
    {"Ernie4_5ForCausalLM", false, text_tensor_specs, make<ErnieText>},
    {"Ernie4_5_ForCausalLM", false, text_tensor_specs, make<ErnieText>},  // Baidu's older spelling
    {"Ernie4_5_MoeForCausalLM", true, text_tensor_specs, make<ErnieText>},
}};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

Result<const Architecture*> find_architecture(std::string_view name) {
  std::vector<std::string_view> built;
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.name) return &architecture;
    built.push_back(architecture.name);
  }
  const std::string allowed = fmt::format("{}", fmt::join(built, ", "));
  // "FSDPErnie4_5ForCausalLM", "Ernie4_5ForCausalLMWithValueHead", "Ernie4_5Model".
  for (const std::string_view inner : built) {
    const std::string_view body = inner.substr(0, inner.find("ForCausalLM"));
    if (name.find(inner) != std::string_view::npos || name == std::string(body) + "Model")
      return invalid(
          fmt::format("architectures: found {}, which looks like {} in a trainer's wrapper; if the "
                      "weights are whole, set architectures to [\"{}\"] in config.json",
                      weights::quote_name(name), inner, inner),
          "architectures");
  }
  if (name.starts_with("Ernie4_5"))
    return unsupported(fmt::format("architectures: {} is an ERNIE-4.5 model that is not built yet; "
                                   "built are {}",
                                   weights::quote_name(name), allowed),
                       "architectures");
  return invalid(fmt::format("architectures: found {}, expected one of {}",
                             weights::quote_name(name), allowed),
                 "architectures");
}

}  // namespace erne::model
