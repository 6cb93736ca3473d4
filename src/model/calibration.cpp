#include "model/calibration.h"

#include <fmt/format.h>

#include <algorithm>

namespace erne::model {
namespace {

bool has_tensor(const weights::Checkpoint& checkpoint, std::string_view part,
                std::string_view end) {
  return std::ranges::any_of(checkpoint.tensors(), [&](const auto& tensor) {
    return tensor.first.find(part) != std::string::npos && tensor.first.ends_with(end);
  });
}

}  // namespace

Result<Calibration> find_calibration(const ErnieConfig& config,
                                     const weights::Checkpoint& checkpoint) {
  Calibration found;
  if (config.quantization == nullptr) return found;
  found.kv_scales = has_tensor(checkpoint, ".self_attn.", "cachek_matmul.activation_scale");
  // Experts of w4a8, encoded already.
  if (!config.has_experts() || !std::string_view(config.quantization->name).starts_with("w4a8") ||
      !has_tensor(checkpoint, ".mlp.experts.", "down_proj.quant_weight"))
    return found;
  found.input_scales = has_tensor(checkpoint, ".mlp.experts.", "down_proj.activation_scale");
  if (!config.hadamard_block_size)
    return invalid(
        "quantization_config.hadamard_block_size: missing; how many neighbours of down_proj's "
        "inputs the checkpoint's weights are rotated by, 0 where they are not",
        "quantization_config.hadamard_block_size");
  found.rotation = *config.hadamard_block_size;
  return found;
}

}  // namespace erne::model
