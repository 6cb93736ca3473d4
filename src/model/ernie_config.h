// A checkpoint's config.json as the model needs it: every field present, validated, in one
// spelling. Nothing changes it once it is parsed, and nothing but the file decides it: what the
// weights beside it are is CheckpointFacts (model/checkpoint_facts.h), and what is made of both
// LoadPlan (model/load_plan.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config_fields.h"
#include "tensor/quantization.h"

namespace erne::model {

// What a mixture of experts adds (docs/ernie-models.md, 3). No experts: every layer is dense.
struct MoeConfig {
  int num_experts = 0;
  int top_k = 0;               // experts that compute a token
  int intermediate_size = 0;   // of one expert
  int num_shared_experts = 0;  // that compute every token, as one of this many times that width
  bool has_correction_bias = true;
  float norm_min = 1e-12f;   // the least sum that a token's weights are divided by
  std::vector<bool> layers;  // [num_layers] which are mixtures

  int shared_width() const { return num_shared_experts * intermediate_size; }
};

// `quantization_config`: what the file says of how its weights are stored. What holds is for
// model/checkpoint_facts.h, which looks at the weights as well.
struct StatedQuantization {
  // What weights are quantised to, or are to be quantised to; nullptr: nothing is said.
  const QuantizationScheme* scheme = nullptr;
  bool is_packed = false;       // weights are erne's own (weights/packed_checkpoint.h)
  bool input_scales = false;    // stated by packed ones
  bool kv_scales = false;       // likewise
  std::optional<int> rotation;  // `hadamard_block_size`; 0: none
};

struct ErnieConfig {
  std::string architecture;  // as in the file; model/registry.h knows which are built
  int vocab_size = 0;        // rows of the embedding; the tokenizer may know fewer
  int hidden_size = 0;
  int num_layers = 0;
  int num_heads = 0;
  int num_kv_heads = 0;  // divides num_heads
  int head_dim = 0;      // a multiple of 16; num_heads * head_dim need not be hidden_size
  int intermediate_size = 0;
  MoeConfig moe;
  int max_position_embeddings = 131072;
  float rms_norm_eps = 1e-5f;
  double rope_theta = 500000.0;
  std::optional<bool> tie_word_embeddings;  // the head is the embedding; unset: not said
  std::vector<int32_t> eos_token_ids = {2};
  StatedQuantization quantization;

  int q_width() const { return num_heads * head_dim; }
  int kv_width() const { return num_kv_heads * head_dim; }
  int qkv_width() const { return q_width() + 2 * kv_width(); }
  bool has_experts() const { return moe.num_experts > 0; }
  bool is_moe_layer(int layer) const { return has_experts() && moe.layers[layer]; }
};

// `architectures` or, where that is missing, what `model_type` implies.
Result<std::string> parse_architecture(const ConfigFields& fields);

// Baidu's keys, -PT and -Paddle, and HF's own (`rope_parameters`). Keys that a model of this kind
// does not use are ignored; keys that would change its arithmetic in a way that is not built are
// refused. Errors name the field, what was found and what is allowed.
Result<ErnieConfig> parse_ernie_config(const ConfigFields& fields, std::string architecture,
                                       bool has_experts);

}  // namespace erne::model
