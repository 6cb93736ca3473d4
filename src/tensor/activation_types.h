// The types that activations may have, by the names users give.
#pragma once

#include <optional>
#include <string_view>

#include "tensor/tensor_view.h"

namespace erne {

inline constexpr char kActivationChoices[] = "bfloat16 float32";

inline std::optional<DType> find_activation_dtype(std::string_view name) {
  for (const DType dtype : {DType::kBf16, DType::kF32})
    if (name == dtype_name(dtype)) return dtype;
  return std::nullopt;
}

}  // namespace erne
