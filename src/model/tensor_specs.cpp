#include "model/tensor_specs.h"

#include <fmt/format.h>

#include <iterator>

namespace erne::model {
namespace {

using weights::TensorKind;
using weights::TensorSpec;

TensorSpec whole(std::string name, TensorKind kind, Shape shape, std::string source) {
  return {std::move(name), kind, shape, {{std::move(source), shape[0]}}};
}

TensorSpec shared(weights::Shard shard, TensorSpec spec) {
  spec.shard = shard;
  return spec;
}

// Ranks share the heads of attention, the width of feed-forwards and the vocabulary of the head:
// what goes into these products every rank has, and what comes out of the next one they add up.
constexpr weights::Shard kRows = {weights::Shard::kRows}, kColumns = {weights::Shard::kColumns};

weights::Shard heads(weights::Shard::Kind kind, const ErnieConfig& c) {
  return {kind, c.head_dim};
}

// A SwiGLU feed-forward. The gate comes first, whatever the name of both in one says.
void add_ffn(const std::string& ours, const std::string& theirs, TensorKind kind, int64_t hidden,
             int64_t width, std::vector<TensorSpec>& specs) {
  specs.push_back(
      shared(kRows, {ours + "gate_up",
                     kind,
                     {2 * width, hidden},
                     {{theirs + "gate_proj.weight", width}, {theirs + "up_proj.weight", width}},
                     theirs + "up_gate_proj.weight"}));
  specs.push_back(
      shared(kColumns, whole(ours + "down", kind, {hidden, width}, theirs + "down_proj.weight")));
}

// Some schemes keep experts of the first layers in a finer format.
bool is_early(const ErnieConfig& c, int layer) {
  return layer < (c.num_layers + 7) / 8;
}

// One for both gate and up: they have the same input.
void add_input_scales(const std::string& ours, const std::string& theirs,
                      std::vector<TensorSpec>& specs) {
  specs.push_back({ours + "gate_up_input",
                   TensorKind::kScale,
                   {1},
                   {{theirs + "gate_proj.activation_scale", 1}},
                   theirs + "up_gate_proj.activation_scale"});
  specs.push_back(
      whole(ours + "down_input", TensorKind::kScale, {1}, theirs + "down_proj.activation_scale"));
}

// What each expert has, in an order of stacks and not of experts: "experts.J.down" of all J are the
// stack "experts.down".
void add_experts(const ErnieConfig& c, const Calibration& calibration, int layer,
                 const std::string& ours, const std::string& theirs,
                 std::vector<TensorSpec>& specs) {
  std::vector<std::vector<TensorSpec>> stacks;
  for (int64_t expert = 0; expert < c.moe.num_experts; ++expert) {
    const std::string name = fmt::format("experts.{}.", expert);
    std::vector<TensorSpec> one;
    add_ffn(ours + name, theirs + name, TensorKind::kExpert, c.hidden_size, c.moe.intermediate_size,
            one);
    for (TensorSpec& spec : one) spec.is_early = is_early(c, layer);
    if (calibration.input_scales) add_input_scales(ours + name, theirs + name, one);
    stacks.resize(one.size());
    for (size_t i = 0; i < one.size(); ++i) {
      const std::string which = one[i].name.substr((ours + name).size());
      one[i].member = {ours + "experts." + which, expert, c.moe.num_experts};
      stacks[i].push_back(std::move(one[i]));
    }
  }
  for (std::vector<TensorSpec>& stack : stacks)
    specs.insert(specs.end(), std::make_move_iterator(stack.begin()),
                 std::make_move_iterator(stack.end()));
}

void add_mixture(const ErnieConfig& c, const Calibration& calibration, int layer,
                 const std::string& ours, const std::string& theirs,
                 std::vector<TensorSpec>& specs) {
  const MoeConfig& moe = c.moe;
  specs.push_back(whole(ours + "router", TensorKind::kRouter, {moe.num_experts, c.hidden_size},
                        theirs + "gate.weight"));
  if (moe.has_correction_bias)
    specs.push_back(whole(ours + "correction_bias", TensorKind::kBias, {moe.num_experts},
                          theirs + "moe_statics.e_score_correction_bias"));
  if (moe.num_shared_experts > 0)
    add_ffn(ours + "shared.", theirs + "shared_experts.", TensorKind::kLinear, c.hidden_size,
            moe.shared_width(), specs);
  add_experts(c, calibration, layer, ours, theirs, specs);
}

void add_layer(const ErnieConfig& c, const Calibration& calibration, int layer,
               std::vector<TensorSpec>& specs) {
  const std::string ours = fmt::format("layers.{}.", layer);
  const std::string theirs = fmt::format("model.layers.{}.", layer);
  const std::string attention = theirs + "self_attn.";
  specs.push_back(whole(ours + "attention_norm", TensorKind::kVector, {c.hidden_size},
                        theirs + "input_layernorm.weight"));
  specs.push_back(
      shared(heads(weights::Shard::kRows, c), {ours + "qkv",
                                               TensorKind::kLinear,
                                               {c.qkv_width(), c.hidden_size},
                                               {{attention + "q_proj.weight", c.q_width()},
                                                {attention + "k_proj.weight", c.kv_width()},
                                                {attention + "v_proj.weight", c.kv_width()}},
                                               attention + "qkv_proj.weight"}));
  specs.push_back(shared(heads(weights::Shard::kColumns, c),
                         whole(ours + "output", TensorKind::kLinear, {c.hidden_size, c.q_width()},
                               attention + "o_proj.weight")));
  if (calibration.kv_scales)
    for (const auto& [ours_end, theirs_end] : {std::pair("keys", "cachek"), {"values", "cachev"}})
      specs.push_back(shared(heads(weights::Shard::kRows, c),
                             whole(ours + ours_end, TensorKind::kScale, {c.kv_width()},
                                   attention + theirs_end + "_matmul.activation_scale")));
  specs.push_back(whole(ours + "ffn_norm", TensorKind::kVector, {c.hidden_size},
                        theirs + "post_attention_layernorm.weight"));
  if (c.is_moe_layer(layer))
    add_mixture(c, calibration, layer, ours, theirs + "mlp.", specs);
  else
    add_ffn(ours, theirs + "mlp.", TensorKind::kLinear, c.hidden_size, c.intermediate_size, specs);
}

}  // namespace

std::vector<TensorSpec> text_tensor_specs(const ErnieConfig& c, const CheckpointFacts& facts) {
  std::vector<TensorSpec> specs;
  specs.push_back(whole("embedding", TensorKind::kTable, {c.vocab_size, c.hidden_size},
                        "model.embed_tokens.weight"));
  for (int layer = 0; layer < c.num_layers; ++layer) add_layer(c, facts.calibration, layer, specs);
  specs.push_back(whole("final_norm", TensorKind::kVector, {c.hidden_size}, "model.norm.weight"));
  if (!facts.tied)
    specs.push_back(shared(
        kRows, whole("head", TensorKind::kHead, {c.vocab_size, c.hidden_size}, "lm_head.weight")));
  return specs;
}

bool is_known_unused(const CheckpointFacts& facts, std::string_view name) {
  if (name == "lm_head.weight") return facts.tied;
  for (const std::string_view prefix : {"model.mtp_", "ernie.mtp_"})
    if (name.starts_with(prefix)) return true;
  return false;
}

}  // namespace erne::model
