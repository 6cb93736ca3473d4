// Which architectures are built: one row each.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"
#include "model/checkpoint_facts.h"
#include "model/model.h"
#include "weights/tensor_spec.h"
#include "weights/weight_store.h"

namespace erne::model {

struct Architecture {
  const char* name;  // as in config.json's `architectures`
  bool has_experts;
  std::vector<weights::TensorSpec> (*tensor_specs)(const ErnieConfig& config,
                                                   const CheckpointFacts& facts);
  std::unique_ptr<Model> (*make)(const ErnieConfig& config, const CheckpointFacts& facts,
                                 Backend& backend, DType activation, weights::WeightStore weights);
};

std::span<const Architecture> architectures();
// kUnsupported for an architecture of the family that is not built yet, kInvalid for any other.
Result<const Architecture*> find_architecture(std::string_view name);

}  // namespace erne::model
