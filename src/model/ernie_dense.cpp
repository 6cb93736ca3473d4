#include "model/ernie_dense.h"

#include <fmt/format.h>

#include <cmath>

#include "model/rotary.h"

namespace erne::model {

ErnieDense::ErnieDense(const ErnieConfig& config, Backend& backend, DType activation,
                       weights::WeightStore weights)
    : config_(config),
      activation_(activation),
      weights_(std::move(weights)),
      attention_scale_(1.0f / std::sqrt(static_cast<float>(config.head_dim))) {
  weights_.add_constants(backend, "inv_freq",
                         rotary_frequencies(config.head_dim, config.rope_theta));
  inv_freq_ = weights_.vector("inv_freq");
  embedding_ = weights_.linear("embedding");
  head_ = config.tie_word_embeddings ? embedding_ : weights_.linear("head");
  final_norm_ = weights_.vector("final_norm");
  for (int i = 0; i < config.num_layers; ++i) {
    const std::string name = fmt::format("layers.{}.", i);
    layers_.push_back({.attention_norm = weights_.vector(name + "attention_norm"),
                       .qkv = weights_.linear(name + "qkv"),
                       .output = weights_.linear(name + "output"),
                       .ffn_norm = weights_.vector(name + "ffn_norm"),
                       .gate_up = weights_.linear(name + "gate_up"),
                       .down = weights_.linear(name + "down")});
  }
}

void ErnieDense::forward(Backend& op, const StepInputs& in, std::span<const KvLayerView> kv,
                         const Workspace& workspace) const {
  CHECK_EQ(kv.size(), layers_.size());
  const float eps = config_.rms_norm_eps;
  const Activations w = workspace.rows(std::ssize(in.tokens), 0);

  op.embed(embedding_, in.tokens, w.x);  // x: [tokens, hidden]
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    op.rms_norm(w.x, layer.attention_norm, eps, w.h);
    op.linear(layer.qkv, w.h, w.qkv);
    op.rope(w.qkv, in.positions, inv_freq_, config_.num_heads, config_.num_kv_heads);
    op.kv_write({.qkv = w.qkv, .kv = kv[i], .slots = in.slots});
    op.attention({.qkv = w.qkv,
                  .kv = kv[i],
                  .batch = &in.batch,
                  .out = w.attention,
                  .scale = attention_scale_});
    op.linear(layer.output, w.attention, w.h);
    op.add_rms_norm(w.x, w.h, layer.ffn_norm, eps, w.h);  // x += h; h = norm(x)
    op.linear(layer.gate_up, w.h, w.gate_up);
    op.silu_mul(w.gate_up, w.ffn);
    op.linear(layer.down, w.ffn, w.h);
    op.add(w.x, w.h);
  }
}

void ErnieDense::logits(Backend& op, std::span<const int32_t> rows, const Workspace& workspace,
                        const Outputs& out) const {
  const Activations w = workspace.rows(workspace.limits().max_tokens, std::ssize(rows));
  op.gather(w.x, rows, w.logit_rows);
  op.rms_norm(w.logit_rows, final_norm_, config_.rms_norm_eps, w.logit_rows);
  op.linear(head_, w.logit_rows, out.logits.first(std::ssize(rows)));
}

}  // namespace erne::model
