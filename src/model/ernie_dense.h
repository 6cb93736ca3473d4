// ERNIE-4.5 dense (0.3B): a pre-norm decoder with grouped queries, interleaved rotary pairs and a
// SwiGLU feed-forward.
#pragma once

#include <memory>
#include <vector>

#include "model/model.h"
#include "weights/weight_store.h"

namespace erne::model {

class ErnieDense final : public Model {
 public:
  // `weights` holds every tensor of dense_tensor_specs(config).
  ErnieDense(const ErnieConfig& config, Backend& backend, DType activation,
             weights::WeightStore weights);

  const ErnieConfig& config() const override { return config_; }
  DType activation() const override { return activation_; }
  size_t weight_bytes() const override { return weights_.bytes(); }
  void forward(Backend& op, const StepInputs& in, std::span<const KvLayerView> kv,
               const Workspace& workspace) const override;
  void logits(Backend& op, std::span<const int32_t> rows, const Workspace& workspace,
              const Outputs& out) const override;

 private:
  struct Layer {
    TensorView attention_norm;  // [H]
    Linear qkv;                 // [Q + 2K, H]
    Linear output;              // [H, Q]
    TensorView ffn_norm;        // [H]
    Linear gate_up;             // [2I, H]
    Linear down;                // [H, I]
  };

  ErnieConfig config_;
  DType activation_;
  weights::WeightStore weights_;  // owns what the views below show
  std::vector<Layer> layers_;
  Linear embedding_, head_;  // [V, H]; the same one where tied
  TensorView final_norm_;    // [H]
  TensorView inv_freq_;      // [D / 2] float32
  float attention_scale_;
};

}  // namespace erne::model
