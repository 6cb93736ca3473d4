// What loading makes of a checkpoint: every choice between what its files say and what the options
// ask for, made once, before any weight is read. Loading, capacity, `erne quantize` and the benches
// go by this plan and decide nothing again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backend/backend.h"
#include "base/status.h"
#include "model/checkpoint_facts.h"
#include "model/ernie_config.h"
#include "tensor/quantization.h"
#include "weights/tensor_spec.h"

namespace erne::model {

struct ModelOptions {
  DType activation = DType::kBf16;  // bfloat16 or float32: activations and vectors
  // Set: weights are drawn from this seed and the folder needs only its config.json ("dummy" load).
  std::optional<uint64_t> random_seed = {};
  const QuantizationScheme* quantization = nullptr;  // on the way in; nullptr: as stored
  bool quantize_activations = false;                 // LoadPlan
  std::string kv_dtype = "auto";                     // one of kKvDtypeChoices
  weights::Rank rank = {};                           // whose share of the weights to load
};

struct LoadPlan {
  // What weights are quantised to, by the options or else the checkpoint; nullptr: nothing.
  const QuantizationScheme* scheme = nullptr;
  Quantization formats = {};        // of each part of the model, as the scheme has them
  DType activation = DType::kBf16;  // of activations and vectors
  DType kv = DType::kBf16;          // of the KV cache
  // Quantised matrices are multiplied by what goes with their format, not by activations as given.
  bool quantize_activations = false;

  // What matrices of a format are multiplied by.
  LinearInput input_of(const WeightFormat& format) const {
    return quantize_activations ? format.input : LinearInput::kAsGiven;
  }
};

// Refused: another quantisation than that of a checkpoint that is packed.
Result<LoadPlan> resolve(const ErnieConfig& config, const CheckpointFacts& facts,
                         const ModelOptions& options);

}  // namespace erne::model
