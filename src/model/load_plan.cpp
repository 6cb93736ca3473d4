#include "model/load_plan.h"

#include <fmt/format.h>

#include "backend/kv_view.h"

namespace erne::model {

Result<LoadPlan> resolve(const ErnieConfig& config, const CheckpointFacts& facts,
                         const ModelOptions& options) {
  CHECK(options.activation == DType::kBf16 || options.activation == DType::kF32);
  if (facts.is_packed && options.quantization && options.quantization != facts.scheme)
    return invalid(fmt::format("--quantization {}: the checkpoint is quantised already, to {}; "
                               "leave the option out, or name the checkpoint it was made of",
                               options.quantization->name, facts.scheme->name),
                   "--quantization");
  LoadPlan plan;
  plan.scheme = options.quantization ? options.quantization : facts.scheme;
  if (plan.scheme) plan.formats = plan.scheme->formats(config.has_experts());
  plan.activation = options.activation;
  plan.quantize_activations = options.quantize_activations;
  // A scheme may include a type of the KV cache, unless another is asked for.
  const bool is_open = options.kv_dtype == "auto" && plan.scheme != nullptr;
  plan.kv = find_kv_dtype(is_open ? plan.scheme->kv : options.kv_dtype, plan.activation).value();
  return plan;
}

}  // namespace erne::model
