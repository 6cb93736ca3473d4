#include "model/tensor_specs.h"

#include <fmt/format.h>

namespace erne::model {
namespace {

using weights::TensorKind;
using weights::TensorSpec;

TensorSpec whole(std::string name, TensorKind kind, Shape shape, std::string source) {
  return {std::move(name), kind, shape, {{std::move(source), shape[0]}}};
}

void add_layer(const ErnieConfig& c, int layer, std::vector<TensorSpec>& specs) {
  const std::string ours = fmt::format("layers.{}.", layer);
  const std::string theirs = fmt::format("model.layers.{}.", layer);
  const std::string attention = theirs + "self_attn.", mlp = theirs + "mlp.";
  specs.push_back(whole(ours + "attention_norm", TensorKind::kVector, {c.hidden_size},
                        theirs + "input_layernorm.weight"));
  specs.push_back({ours + "qkv",
                   TensorKind::kLinear,
                   {c.qkv_width(), c.hidden_size},
                   {{attention + "q_proj.weight", c.q_width()},
                    {attention + "k_proj.weight", c.kv_width()},
                    {attention + "v_proj.weight", c.kv_width()}},
                   attention + "qkv_proj.weight"});
  specs.push_back(whole(ours + "output", TensorKind::kLinear, {c.hidden_size, c.q_width()},
                        attention + "o_proj.weight"));
  specs.push_back(whole(ours + "ffn_norm", TensorKind::kVector, {c.hidden_size},
                        theirs + "post_attention_layernorm.weight"));
  specs.push_back({ours + "gate_up",
                   TensorKind::kLinear,
                   {2 * c.intermediate_size, c.hidden_size},
                   {{mlp + "gate_proj.weight", c.intermediate_size},
                    {mlp + "up_proj.weight", c.intermediate_size}},
                   mlp + "up_gate_proj.weight"});  // the gate comes first, whatever the name says
  specs.push_back(whole(ours + "down", TensorKind::kLinear, {c.hidden_size, c.intermediate_size},
                        mlp + "down_proj.weight"));
}

}  // namespace

std::vector<TensorSpec> dense_tensor_specs(const ErnieConfig& c) {
  std::vector<TensorSpec> specs;
  specs.push_back(whole("embedding", TensorKind::kTable, {c.vocab_size, c.hidden_size},
                        "model.embed_tokens.weight"));
  for (int layer = 0; layer < c.num_layers; ++layer) add_layer(c, layer, specs);
  specs.push_back(whole("final_norm", TensorKind::kVector, {c.hidden_size}, "model.norm.weight"));
  if (!c.tie_word_embeddings)
    specs.push_back(
        whole("head", TensorKind::kHead, {c.vocab_size, c.hidden_size}, "lm_head.weight"));
  return specs;
}

bool is_known_unused(const ErnieConfig& config, std::string_view name) {
  if (name == "lm_head.weight") return config.tie_word_embeddings;
  for (const std::string_view prefix : {"model.mtp_", "ernie.mtp_"})
    if (name.starts_with(prefix)) return true;
  return false;
}

}  // namespace erne::model
