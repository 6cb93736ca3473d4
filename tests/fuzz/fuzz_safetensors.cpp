// A whole safetensors file, its header above all: what is accepted lies inside the file, in order
// and without holes, so that no reader can leave the mapping.
#include "base/check.h"
#include "weights/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  const auto tensors = erne::weights::parse_safetensors_header(file);
  if (!tensors) {
    CHECK(!tensors.status().message.empty());
    return 0;
  }
  if (tensors->empty()) return 0;
  uint64_t at = tensors->front().begin;
  for (const erne::weights::StoredTensor& tensor : *tensors) {
    CHECK_EQ(tensor.begin, at);
    CHECK_GE(tensor.end, tensor.begin);
    CHECK_EQ(tensor.type == nullptr, !tensor.unreadable.empty());
    CHECK_GE(tensor.shape.elements(), 0);
    if (tensor.type != nullptr)
      CHECK_EQ(tensor.end - tensor.begin,
               static_cast<uint64_t>(tensor.shape.elements() * tensor.type->bytes));
    at = tensor.end;
  }
  CHECK_EQ(at, size);
  return 0;
}
