// model: the networks, written as they read. A Model turns one step's tokens into logits by calling
// a Backend's ops; it owns its weights, and nothing else: KV memory, workspace and staging belong
// to the caller (exec). `forward` is const and keeps no state between steps.
//
// Symbols: T tokens of the step, R rows that want logits, H hidden, V vocabulary.
#pragma once

#include <cstdint>
#include <span>

#include "backend/backend.h"
#include "backend/communicator.h"
#include "model/ernie_config.h"
#include "tensor/tensor_view.h"

namespace erne::model {

struct Outputs {
  DeviceView logits;  // [R, V] float32
};

// The most a step may hold: what workspaces are sized by.
struct StepLimits {
  int max_tokens = 0;
  int max_logit_rows = 0;
};

// The activations of one step, cut to its T and R.
struct Activations {
  DeviceView x;          // [T, H] residual stream
  DeviceView h;          // [T, H] input or output of a block
  DeviceView qkv;        // [T, Q + 2K]
  DeviceView attention;  // [T, Q]
  DeviceView gate_up;    // [T, 2I], I the larger of a dense feed-forward's and the shared experts'
  DeviceView ffn;        // [T, I]
  // With experts only:
  DeviceView router_logits;   // [T, E] float32
  DeviceView experts;         // [T, k] int32
  DeviceView expert_weights;  // [T, k] float32
  DeviceView mixture;         // [T, H] what all experts of a layer add up to
  DeviceView logit_rows;      // [R, H] rows of x that want logits, then their final norm
};

// Memory of the activations, allocated once.
class Workspace {
 public:
  Workspace(Backend& backend, const ErnieConfig& config, DType activation, StepLimits limits);

  Activations rows(int64_t num_tokens, int64_t num_logit_rows) const;  // CHECKs the limits
  const StepLimits& limits() const { return limits_; }
  static size_t bytes(const ErnieConfig& config, DType activation, StepLimits limits);

 private:
  StepLimits limits_;
  DeviceBuffer memory_;
  Activations all_;  // at the limits
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ErnieConfig& config() const = 0;
  virtual DType activation() const = 0;     // of the workspace
  virtual size_t weight_bytes() const = 0;  // on the device
  // Writes KV of the step's tokens and leaves their residual stream in the workspace. `kv`: one
  // view per layer.
  virtual void forward(Backend& backend, Communicator& ranks, const StagedStep& in,
                       std::span<const KvLayerView> kv, const Workspace& workspace) const = 0;
  // Logits of some of the last forward's tokens: final norm and head. `rows`: [R] indices into [0,
  // T), at most StepLimits::max_logit_rows at a time; call again for more (scoring a long prompt
  // would otherwise need T x V floats).
  virtual void logits(Backend& backend, Communicator& ranks, const StagedIndices& rows,
                      const Workspace& workspace, const Outputs& out) const = 0;
};

}  // namespace erne::model
