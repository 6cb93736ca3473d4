#include "weights/weight_store.h"

#include <cstring>

namespace erne::weights {
namespace {

bool lies_in(const DeviceBuffer& memory, const void* at) {
  const auto* begin = static_cast<const std::byte*>(memory.data());
  return at >= begin && at < begin + memory.bytes();
}

// A matrix's type on the device: as stored, unless activations are narrower.
DType matrix_dtype(DType stored, DType activation) {
  return activation == DType::kBf16 ? DType::kBf16 : stored;
}

// The format a matrix is packed in, read as `dtype`.
const WeightFormat& matrix_format(TensorKind kind, DType dtype, const LoadOptions& options) {
  const WeightFormat* wanted = options.quantization;
  const bool covers = wanted != nullptr && (kind == TensorKind::kLinear || wanted->covers_tables);
  return covers ? *wanted : plain_format(dtype);
}

Result<void> load_tensor(Backend& backend, WeightSource& source, const TensorSpec& spec,
                         const LoadOptions& options, WeightStore& store) {
  const bool is_vector = spec.kind == TensorKind::kVector;
  const DType dtype = is_vector ? options.activation
                                : matrix_dtype(TRY(source.stored_dtype(spec)), options.activation);
  TensorView view{nullptr, dtype, spec.shape};
  DeviceBuffer loaded =
      backend.allocate(view.bytes(), is_vector ? Space::kDevice : Space::kPinnedHost);
  view.data = loaded.data();
  TRY(source.read(spec, view));
  if (is_vector) {
    store.add_vector(spec.name, view, std::move(loaded));
    return {};
  }
  DeviceBuffer packed;
  Linear linear = backend.pack(view, matrix_format(spec.kind, dtype, options), packed);
  linear.input = options.input;
  // A back end whose kernels want the plain order may compute with the copy it was given.
  const bool keeps_loaded = lies_in(loaded, linear.data.data);
  store.add_linear(spec.name, linear, std::move(keeps_loaded ? loaded : packed));
  return {};
}

}  // namespace

const Linear& WeightStore::linear(std::string_view name) const {
  const auto found = linears_.find(name);
  if (found == linears_.end())
    check_failed(__FILE__, __LINE__, "a linear of this name", std::string(name));
  return found->second;
}

TensorView WeightStore::vector(std::string_view name) const {
  const auto found = vectors_.find(name);
  if (found == vectors_.end())
    check_failed(__FILE__, __LINE__, "a vector of this name", std::string(name));
  return found->second;
}

void WeightStore::add_linear(std::string name, Linear linear, DeviceBuffer memory) {
  bytes_ += memory.bytes();
  memory_.push_back(std::move(memory));
  CHECK(linears_.emplace(std::move(name), linear).second);
}

void WeightStore::add_vector(std::string name, TensorView view, DeviceBuffer memory) {
  bytes_ += memory.bytes();
  memory_.push_back(std::move(memory));
  CHECK(vectors_.emplace(std::move(name), view).second);
}

void WeightStore::add_constants(Backend& backend, std::string name, std::span<const float> values) {
  DeviceBuffer memory = backend.allocate(values.size_bytes(), Space::kDevice);
  std::memcpy(memory.data(), values.data(), values.size_bytes());
  const TensorView view{memory.data(), DType::kF32, {static_cast<int64_t>(values.size())}};
  add_vector(std::move(name), view, std::move(memory));
}

Result<WeightStore> load_weights(Backend& backend, WeightSource& source,
                                 std::span<const TensorSpec> specs, const LoadOptions& options) {
  WeightStore store;
  size_t done = 0;
  for (const TensorSpec& spec : specs) {
    TRY(load_tensor(backend, source, spec, options, store));
    if (options.progress) options.progress(++done, specs.size());
  }
  return store;
}

}  // namespace erne::weights
