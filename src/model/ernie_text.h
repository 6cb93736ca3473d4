// The text decoder of ERNIE-4.5, dense (0.3B) and with experts (21B-A3B, 300B-A47B): pre-norm,
// grouped queries, interleaved rotary pairs, and in each layer a SwiGLU feed-forward or a mixture
// of them (docs/ernie-models.md, 2 and 3).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/checkpoint_facts.h"
#include "model/model.h"
#include "weights/weight_store.h"

namespace erne::model {

class ErnieText final : public Model {
 public:
  // `weights` holds every tensor of text_tensor_specs(config, facts).
  ErnieText(const ErnieConfig& config, const CheckpointFacts& facts, Backend& backend,
            DType activation, weights::WeightStore weights);

  const ErnieConfig& config() const override { return config_; }
  DType activation() const override { return activation_; }
  size_t weight_bytes() const override { return weights_.bytes(); }
  void forward(Backend& op, Communicator& ranks, const StagedStep& in,
               std::span<const KvLayerView> kv, const Workspace& workspace) const override;
  void logits(Backend& op, Communicator& ranks, const StagedIndices& rows,
              const Workspace& workspace, const Outputs& out) const override;

 private:
  struct FeedForward {
    Linear gate_up;  // [2I, H]
    Linear down;     // [H, I]
  };
  struct Mixture {
    Linear router;                      // [E, H] float32
    DeviceView correction_bias;         // [E] float32; no data: none
    std::optional<FeedForward> shared;  // computes every token
    StackedLinear gate_up, down;        // E of [2I, H], E of [H, I]
    int rotation = 0;                   // of what goes into down
  };
  struct Layer {
    DeviceView attention_norm;  // [H]
    Linear qkv;                 // [Q + 2K, H]
    Linear output;              // [H, Q]
    // KvLayerView::key_largest and value_largest; no data: none
    DeviceView keys, values;
    DeviceView ffn_norm;  // [H]
    // One of them.
    std::optional<FeedForward> ffn;
    std::optional<Mixture> mixture;
  };

  FeedForward find_feed_forward(const std::string& name) const;
  StackedLinear find_experts(const std::string& name) const;
  Mixture find_mixture(const std::string& name) const;
  static KvLayerView with_scales(KvLayerView kv, const Layer& layer);
  // Each returns the view in which it leaves what is to be added to the residual stream.
  static DeviceView feed_forward(Backend& op, const FeedForward& ffn, const Activations& w,
                                 DeviceView out);
  DeviceView mix(Backend& op, const Mixture& mixture, const Activations& w) const;

  ErnieConfig config_;
  Calibration calibration_;
  DType activation_;
  weights::WeightStore weights_;  // owns what the views below show
  std::vector<Layer> layers_;
  Linear embedding_, head_;  // [V, H]; the same one where tied
  DeviceView final_norm_;    // [H]
  DeviceView inv_freq_;      // [D / 2] float32
  float attention_scale_;
};

}  // namespace erne::model
