// Which architectures are built, and how to get one of them from a folder.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/status.h"
#include "model/ernie_config.h"
#include "model/model.h"
#include "weights/tensor_spec.h"
#include "weights/weight_store.h"

namespace erne::model {

struct Architecture {
  const char* name;  // as in config.json's `architectures`
  bool has_experts;
  std::vector<weights::TensorSpec> (*tensor_specs)(const ErnieConfig& config);
  std::unique_ptr<Model> (*make)(const ErnieConfig& config, Backend& backend, DType activation,
                                 weights::WeightStore weights);
};

std::span<const Architecture> architectures();
// kUnsupported for an architecture of the family that is not built yet, kInvalid for any other.
Result<const Architecture*> find_architecture(std::string_view name);

struct ModelOptions {
  DType activation = DType::kBf16;  // bfloat16 or float32: activations and KV
  // Set: weights are drawn from this seed and the folder needs only its config.json ("dummy" load).
  std::optional<uint64_t> random_seed = {};
  std::function<void(size_t done, size_t total)> progress = {};  // in tensors
  const QuantizationScheme* quantization = nullptr;  // on the way in; nullptr: as stored
  bool quantize_activations = false;                 // weights::LoadOptions
  std::filesystem::path weight_cache = {};           // folder of packed weights; empty: none
};

// Reads config.json and the weights of <folder>. The backend must outlive the model.
Result<std::unique_ptr<Model>> load_model(Backend& backend, const std::filesystem::path& folder,
                                          const ModelOptions& options);

struct PackedModel {
  ErnieConfig config;  // as the weights decided it
  size_t weight_bytes;
};

// Makes the weights of a checkpoint of erne's own out of a folder's: quantised, as `backend` packs
// them. options.quantization is not nullptr; activations and the weight cache do not matter.
Result<PackedModel> write_packed_model(Backend& backend, const std::filesystem::path& folder,
                                       const ModelOptions& options,
                                       const std::filesystem::path& file);

}  // namespace erne::model
