// From a folder to a model, in two steps: open() decides everything that can be known without
// reading weights, load() reads them. In between a caller can ask what the model will take.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"
#include "model/load_plan.h"
#include "model/model.h"
#include "model/registry.h"
#include "weights/tensor_spec.h"
#include "weights/weight_store.h"

namespace erne::model {

using Progress = std::function<void(size_t done, size_t total)>;  // in tensors

class OpenedModel {
 public:
  // Reads <folder>/config.json and the headers of its weights.
  static Result<OpenedModel> open(const std::filesystem::path& folder, const ModelOptions& options);

  const ErnieConfig& config() const { return config_; }
  const CheckpointFacts& facts() const { return facts_; }
  const LoadPlan& plan() const { return plan_; }

  // Bytes of all weights packed to `scheme`, nullptr: as stored; 0 where they are packed already
  // and the back end may read them in their file. Nothing is read.
  Result<size_t> weight_bytes(Backend& backend, const QuantizationScheme* scheme) const;
  // Reads the weights; `weight_cache`: folder of packed ones, empty: none. The backend must outlive
  // the model.
  Result<std::unique_ptr<Model>> load(Backend& backend, Progress progress = {},
                                      const std::filesystem::path& weight_cache = {}) const;
  // The model with room for its weights, of which none is read: for what it will take, on a back
  // end that counts.
  Result<std::unique_ptr<Model>> outline(Backend& backend) const;
  // Makes the weights of a checkpoint of erne's own: quantised, as `backend` packs them. The plan
  // has a scheme. Returns their bytes.
  Result<size_t> pack(Backend& backend, Progress progress, const std::filesystem::path& file) const;

 private:
  OpenedModel(ErnieConfig config, const Architecture& architecture)
      : config_(std::move(config)), architecture_(&architecture) {}
  Result<void> open_weights(const std::filesystem::path& folder, const ModelOptions& options);
  weights::LoadOptions load_options(Progress progress) const;

  ErnieConfig config_;
  const Architecture* architecture_;
  CheckpointFacts facts_;
  LoadPlan plan_;
  weights::Rank rank_;
  std::vector<weights::TensorSpec> specs_;
  std::unique_ptr<weights::WeightSource> source_;  // null: packed
  std::filesystem::path packed_file_;
};

// Both steps. The backend must outlive the model.
Result<std::unique_ptr<Model>> load_model(Backend& backend, const std::filesystem::path& folder,
                                          const ModelOptions& options);

}  // namespace erne::model
