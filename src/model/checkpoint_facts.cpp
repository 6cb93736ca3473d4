#include "model/checkpoint_facts.h"

#include <algorithm>
#include <string_view>

namespace erne::model {
namespace {

bool has_tensor(const weights::Checkpoint& checkpoint, std::string_view part,
                std::string_view end) {
  return std::ranges::any_of(checkpoint.tensors(), [&](const auto& tensor) {
    return tensor.first.find(part) != std::string::npos && tensor.first.ends_with(end);
  });
}

// Experts of w4a8, encoded already.
bool has_encoded_w4a8(const ErnieConfig& config, const weights::Checkpoint& checkpoint) {
  return config.has_experts() &&
         std::string_view(config.quantization.scheme->name).starts_with("w4a8") &&
         has_tensor(checkpoint, ".mlp.experts.", "down_proj.quant_weight");
}

Result<Calibration> find_calibration(const ErnieConfig& config,
                                     const weights::Checkpoint& checkpoint) {
  Calibration found;
  if (config.quantization.scheme == nullptr) return found;
  found.kv_scales = has_tensor(checkpoint, ".self_attn.", "cachek_matmul.activation_scale");
  if (!has_encoded_w4a8(config, checkpoint)) return found;
  found.input_scales = has_tensor(checkpoint, ".mlp.experts.", "down_proj.activation_scale");
  if (!config.quantization.rotation)
    return invalid(
        "quantization_config.hadamard_block_size: missing; how many neighbours of down_proj's "
        "inputs the checkpoint's weights are rotated by, 0 where they are not",
        "quantization_config.hadamard_block_size");
  found.rotation = *config.quantization.rotation;
  return found;
}

}  // namespace

CheckpointFacts stated_facts(const ErnieConfig& config) {
  const StatedQuantization& stated = config.quantization;
  CheckpointFacts facts{config.tie_word_embeddings.value_or(true), stated.is_packed, stated.scheme};
  if (stated.is_packed)
    facts.calibration = {stated.input_scales, stated.kv_scales, stated.rotation.value_or(0)};
  return facts;
}

Result<CheckpointFacts> find_facts(const ErnieConfig& config,
                                   const weights::Checkpoint& checkpoint) {
  const bool has_head = checkpoint.find("lm_head.weight") != nullptr;
  return CheckpointFacts{config.tie_word_embeddings.value_or(!has_head), false,
                         config.quantization.scheme, TRY(find_calibration(config, checkpoint))};
}

}  // namespace erne::model
