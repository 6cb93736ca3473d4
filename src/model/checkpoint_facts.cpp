#include "model/checkpoint_facts.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/log.h"

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

// Whether two tensors hold the same bytes. A head that differs mostly does so at once.
bool is_same(const weights::CheckpointTensor& a, const weights::CheckpointTensor& b) {
  if (a.shape != b.shape || a.type != b.type) return false;
  constexpr size_t kStep = 4 << 20;
  const auto bytes = static_cast<size_t>(a.shape.elements() * a.type->bytes);
  for (size_t at = 0; at < bytes; at += kStep) {
    const size_t step = std::min(kStep, bytes - at);
    const bool equal = std::memcmp(a.data + at, b.data + at, step) == 0;
    weights::drop_pages({b.data + at, step});
    if (!equal) return false;
  }
  return true;
}

// Transformers ties the head where config.json says so, whatever the file holds; but a head of its
// own has been trained for something.
void warn_of_unused_head(const weights::Checkpoint& checkpoint) {
  const weights::CheckpointTensor* head = checkpoint.find("lm_head.weight");
  const weights::CheckpointTensor* embedding = checkpoint.find("model.embed_tokens.weight");
  if (embedding == nullptr) embedding = checkpoint.find("ernie.embed_tokens.weight");
  if (head != nullptr && embedding != nullptr && !is_same(*embedding, *head))
    log_warning(
        "config.json says tie_word_embeddings true, and {} holds an lm_head.weight that differs "
        "from the embedding: the embedding is used as the head, as transformers does; if the head "
        "was trained apart, say tie_word_embeddings false",
        checkpoint.folder().string());
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
  if (config.tie_word_embeddings.value_or(false)) warn_of_unused_head(checkpoint);
  return CheckpointFacts{config.tie_word_embeddings.value_or(!has_head), false,
                         config.quantization.scheme, TRY(find_calibration(config, checkpoint))};
}

}  // namespace erne::model
