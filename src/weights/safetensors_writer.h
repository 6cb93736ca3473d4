// The first bytes of a safetensors file to be written; the tensors' data follows in the order they
// were added. What parse_safetensors_header reads back.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "base/json.h"
#include "tensor/tensor_view.h"

namespace erne::weights {

class SafetensorsHeader {
 public:
  // `type` as in the file: "BF16".
  void add(std::string name, const char* type, const Shape& shape, int64_t bytes);
  // The data begins at a multiple of `alignment` bytes of the file, which is one of 8.
  void write(std::ostream& out, size_t alignment = 8) const;

 private:
  Json::Object tensors_;
  int64_t end_ = 0;  // of the data so far
};

}  // namespace erne::weights
