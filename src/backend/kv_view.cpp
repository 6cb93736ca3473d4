#include "backend/kv_view.h"

namespace erne {

std::optional<DType> find_kv_dtype(std::string_view name, DType activation) {
  if (name == "auto") return activation;
  for (const DType dtype : {DType::kBf16, DType::kF32, DType::kI8, DType::kFp8})
    if (name == dtype_name(dtype)) return dtype;
  return std::nullopt;
}

}  // namespace erne
