#include "backend/shape_check.h"

#include <fmt/format.h>

namespace erne {
namespace {

// Binds an unbound dimension; false if a bound one disagrees.
bool agree(Dim* dim, int64_t size) {
  if (dim->size == Dim::kUnbound) dim->size = size;
  return dim->size == size;
}

std::string expected_shape(std::initializer_list<Dim*> dims) {
  std::string out;
  for (const Dim* dim : dims)
    out += fmt::format("{}{}={}", out.empty() ? "" : ", ", dim->symbol, dim->size);
  return "[" + out + "]";
}

}  // namespace

void ShapeCheck::fail(const char* name, const std::string& detail) const {
  check_failed(__FILE__, __LINE__, op_, fmt::format("{}: {}", name, detail));
}

void ShapeCheck::shape(const char* name, const DeviceView& view,
                       std::initializer_list<Dim*> dims) const {
  bool matches = view.shape.rank() == static_cast<int>(dims.size());
  int i = 0;
  if (matches)
    for (Dim* dim : dims) matches &= agree(dim, view.shape[i++]);
  if (!matches)
    fail(name, fmt::format("is {}, should be {}", view.shape.str(), expected_shape(dims)));
  if (!view.data && view.elements() > 0) fail(name, "has no data");
}

void ShapeCheck::dtype(const char* name, const DeviceView& view, DType expected) const {
  if (view.dtype != expected)
    fail(name, fmt::format("is {}, should be {}", dtype_name(view.dtype), dtype_name(expected)));
}

void ShapeCheck::activation(const char* name, const DeviceView& view) const {
  if (view.dtype != DType::kF32 && view.dtype != DType::kBf16)
    fail(name, fmt::format("is {}, should be float32 or bfloat16", dtype_name(view.dtype)));
}

void ShapeCheck::length(const char* name, int64_t length, Dim* dim) const {
  if (!agree(dim, length))
    fail(name, fmt::format("has {} entries, should have {}={}", length, dim->symbol, dim->size));
}

void ShapeCheck::fail_index(const char* name, int64_t value, int64_t low, int64_t end) const {
  fail(name, fmt::format("holds {}, should be in [{}, {})", value, low, end));
}

}  // namespace erne
