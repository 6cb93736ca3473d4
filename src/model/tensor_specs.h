// Every tensor of a model, by our name for it, with its shape and its names in checkpoints: THE
// list for the loader, the check of names, random weights and memory estimates.
#pragma once

#include <string_view>
#include <vector>

#include "model/checkpoint_facts.h"
#include "weights/tensor_spec.h"

namespace erne::model {

// "embedding", "final_norm", "head" (untied only), and for each layer N "layers.N." +
// attention_norm, qkv [Q + 2K, H], output [H, Q], ffn_norm, and
//   a dense one    gate_up [2I, H], down [H, I]
//   with kv_scales  keys [K], values [K]
//   a mixture      router [E, H], correction_bias [E] (where there is one), shared.gate_up and
//                  shared.down (likewise), and for each expert J experts.J.gate_up, experts.J.down;
//                  with input_scales experts.J.gate_up_input [1], experts.J.down_input [1]
std::vector<weights::TensorSpec> text_tensor_specs(const ErnieConfig& config,
                                                   const CheckpointFacts& facts);

// Tensors that checkpoints may hold and no list names, on purpose: the multi-token predictor, and a
// head that is tied to the embedding.
bool is_known_unused(const CheckpointFacts& facts, std::string_view name);

}  // namespace erne::model
