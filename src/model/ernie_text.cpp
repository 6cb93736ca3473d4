#include "model/ernie_text.h"

#include <fmt/format.h>

#include <cmath>

#include "model/rotary.h"

namespace erne::model {

ErnieText::ErnieText(const ErnieConfig& config, const CheckpointFacts& facts, Backend& backend,
                     DType activation, weights::WeightStore weights)
    : config_(config),
      calibration_(facts.calibration),
      activation_(activation),
      weights_(std::move(weights)),
      attention_scale_(1.0f / std::sqrt(static_cast<float>(config.head_dim))) {
  weights_.add_constants(backend, "inv_freq",
                         rotary_frequencies(config.head_dim, config.rope_theta));
  inv_freq_ = weights_.vector("inv_freq");
  embedding_ = weights_.linear("embedding");
  head_ = facts.tied ? embedding_ : weights_.linear("head");
  final_norm_ = weights_.vector("final_norm");
  for (int i = 0; i < config.num_layers; ++i) {
    const std::string name = fmt::format("layers.{}.", i);
    Layer& layer = layers_.emplace_back();
    layer.attention_norm = weights_.vector(name + "attention_norm");
    layer.qkv = weights_.linear(name + "qkv");
    layer.output = weights_.linear(name + "output");
    if (calibration_.kv_scales) {
      layer.keys = weights_.vector(name + "keys");
      layer.values = weights_.vector(name + "values");
    }
    layer.ffn_norm = weights_.vector(name + "ffn_norm");
    if (config.is_moe_layer(i))
      layer.mixture = find_mixture(name);
    else
      layer.ffn = find_feed_forward(name);
  }
}

ErnieText::FeedForward ErnieText::find_feed_forward(const std::string& name) const {
  return {weights_.linear(name + "gate_up"), weights_.linear(name + "down")};
}

StackedLinear ErnieText::find_experts(const std::string& name) const {
  StackedLinear experts = weights_.stack(name);
  if (calibration_.input_scales) experts.input_largest = weights_.vector_stack(name + "_input");
  return experts;
}

ErnieText::Mixture ErnieText::find_mixture(const std::string& name) const {
  Mixture out;
  out.router = weights_.linear(name + "router");
  if (config_.moe.has_correction_bias)
    out.correction_bias = weights_.vector(name + "correction_bias");
  if (config_.moe.num_shared_experts > 0) out.shared = find_feed_forward(name + "shared.");
  out.gate_up = find_experts(name + "experts.gate_up");
  out.down = find_experts(name + "experts.down");
  out.rotation = calibration_.rotation;
  return out;
}

void ErnieText::forward(Backend& op, Communicator& ranks, const StagedStep& in,
                        std::span<const KvLayerView> kv, const Workspace& workspace) const {
  CHECK_EQ(kv.size(), layers_.size());
  const float eps = config_.rms_norm_eps;
  const Activations w = workspace.rows(in.num_tokens(), 0);

  op.embed(embedding_, in.tokens, w.x);  // x: [tokens, hidden]
  op.rms_norm(w.x, layers_.front().attention_norm, eps, w.h);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    op.linear(layer.qkv, w.h, w.qkv);
    const KvLayerView cache = with_scales(kv[i], layer);
    op.rope_kv_write({.qkv = w.qkv, .kv = cache, .slots = in.slots}, in.positions, inv_freq_);
    op.attention({.qkv = w.qkv,
                  .kv = cache,
                  .batch = &in.batch,
                  .out = w.attention,
                  .scale = attention_scale_});
    op.linear(layer.output, w.attention, w.h);  // of this rank's heads
    ranks.all_reduce(w.h);
    op.add_rms_norm(w.x, w.h, layer.ffn_norm, eps, w.h);  // x += h; h = norm(x)
    const DeviceView y =
        layer.mixture ? mix(op, *layer.mixture, w) : feed_forward(op, *layer.ffn, w, w.h);
    ranks.all_reduce(y);  // each rank has a part of every feed-forward's width
    if (i + 1 < layers_.size())
      op.add_rms_norm(w.x, y, layers_[i + 1].attention_norm, eps, w.h);
    else
      op.add(w.x, y);
  }
}

// Scales of the KV cache are for 8 bits; other types need none.
KvLayerView ErnieText::with_scales(KvLayerView kv, const Layer& layer) {
  if (!layer.keys.data || dtype_bytes(kv.dtype) != 1) return kv;
  kv.key_largest = layer.keys.data;
  kv.value_largest = layer.values.data;
  return kv;
}

// out = down(silu(gate h) * up h); out may be h.
DeviceView ErnieText::feed_forward(Backend& op, const FeedForward& ffn, const Activations& w,
                                   DeviceView out) {
  const DeviceView gate_up = w.gate_up.with_width(ffn.gate_up.out);
  const DeviceView activated = w.ffn.with_width(ffn.down.in);
  op.linear(ffn.gate_up, w.h, gate_up);
  op.silu_mul(gate_up, activated);
  op.linear(ffn.down, activated, out);
  return out;
}

// The chosen experts of h, weighted, and the shared ones, which every token has.
DeviceView ErnieText::mix(Backend& op, const Mixture& mixture, const Activations& w) const {
  op.linear(mixture.router, w.h, w.router_logits);
  op.route({.logits = w.router_logits,
            .correction_bias = mixture.correction_bias,
            .experts = w.experts,
            .weights = w.expert_weights,
            .norm_min = config_.moe.norm_min});
  if (mixture.shared) feed_forward(op, *mixture.shared, w, w.mixture);
  op.experts({.x = w.h,
              .experts = w.experts,
              .weights = w.expert_weights,
              .gate_up = mixture.gate_up,
              .down = mixture.down,
              .y = w.mixture,
              .add = mixture.shared.has_value(),
              .rotation = mixture.rotation});
  return w.mixture;
}

void ErnieText::logits(Backend& op, Communicator& ranks, const StagedIndices& rows,
                       const Workspace& workspace, const Outputs& out) const {
  const Activations w = workspace.rows(workspace.limits().max_tokens, rows.size());
  op.gather(w.x, rows, w.logit_rows);
  op.rms_norm(w.logit_rows, final_norm_, config_.rms_norm_eps, w.logit_rows);
  const DeviceView logits = out.logits.first(rows.size());
  op.linear(head_, w.logit_rows, logits);
  ranks.all_gather(logits, logits);
}

}  // namespace erne::model
