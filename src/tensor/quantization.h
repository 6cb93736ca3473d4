// The table of what --quantization may say: which weight format each part of a model gets. As
// FastDeploy's names mean it (docs/ernie-models.md, 8.0); the grouped ones are ours. Norms and
// routers are never quantised, tables only by formats that say so.
#pragma once

#include <span>
#include <string_view>

#include "tensor/weight_format.h"

namespace erne {

// nullptr: stays as stored.
struct Quantization {
  const char* name = "none";
  const WeightFormat* linears = nullptr;        // attention, dense feed-forwards, shared experts
  const WeightFormat* experts = nullptr;        // routed ones
  const WeightFormat* first_experts = nullptr;  // those of the first eighth of the layers

  bool is_none() const { return linears == nullptr && experts == nullptr; }
};

struct QuantizationScheme {
  const char* name;
  const char* dense_model;     // format of the linears of a model without experts
  const char* beside_experts;  // of one with experts
  const char* experts;
  const char* first_experts = nullptr;  // of the first eighth of the layers; nullptr: as all
  const char* kv = "auto";  // type of the KV cache, unless --kv-cache-dtype says another

  Quantization formats(bool has_experts) const;
};

std::span<const QuantizationScheme> quantization_schemes();
const QuantizationScheme* find_quantization(std::string_view name);  // nullptr: no such scheme

}  // namespace erne
