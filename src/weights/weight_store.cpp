#include "weights/weight_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "weights/safetensors_header.h"

namespace erne::weights {
namespace {

// Bytes of rows that are read at a time: few enough to be packed while the CPU's cache holds them.
constexpr int64_t kRunBytes = 2 << 20;

// The type a tensor is read as: as stored, unless activations are narrower.
Result<DType> read_dtype(WeightSource& source, const TensorSpec& spec, DType activation) {
  if (spec.kind == TensorKind::kRouter || spec.kind == TensorKind::kBias ||
      spec.kind == TensorKind::kScale)
    return DType::kF32;
  if (spec.kind == TensorKind::kVector || activation == DType::kBf16) return activation;
  return source.stored_dtype(spec);
}

// nullptr: not a matrix.
const WeightFormat* format_of(const TensorSpec& spec, DType dtype, const LoadOptions& options) {
  const WeightFormat* wanted = nullptr;
  switch (spec.kind) {
    case TensorKind::kVector:
    case TensorKind::kBias:
    case TensorKind::kScale:
      return nullptr;
    case TensorKind::kRouter:
      break;
    case TensorKind::kExpert:
      wanted = spec.is_early ? options.quantization.first_experts : options.quantization.experts;
      break;
    case TensorKind::kLinear:
      wanted = options.quantization.linears;
      break;
    case TensorKind::kHead:
    case TensorKind::kTable:
      wanted = options.quantization.linears;
      if (wanted && !wanted->covers_tables) wanted = nullptr;
      break;
  }
  return wanted ? wanted : &plain_format(dtype);
}

size_t padded(size_t bytes) {
  return (bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
}

// A number of a stack of numbers, which lie together; everything else is aligned.
bool is_followed_closely(const WeightPlan& plan) {
  const StackMember& member = plan.spec->member;
  return plan.format == nullptr && member.index + 1 < member.count;
}

// The rows of a matrix that are read at a time, as a shape without memory.
TensorView run_of_rows(const WeightPlan& plan) {
  const int64_t out = plan.spec->shape[0], in = plan.spec->shape[1];
  const int64_t row_bytes = in * dtype_bytes(plan.dtype);
  const int64_t most = std::max<int64_t>(1, kRunBytes / row_bytes / kPackRows) * kPackRows;
  return {nullptr, plan.dtype, {std::min(out, most), in}};
}

// Memory for the longest run, or vector.
HostBuffer allocate_staging(Backend& backend, std::span<const WeightPlan> plans) {
  size_t bytes = 0;
  for (const WeightPlan& plan : plans)
    bytes = std::max(bytes, plan.format ? run_of_rows(plan).bytes() : plan.bytes);
  return backend.allocate_host(bytes);
}

// Rows that are stored in the codes of the format go through as they are: encoding their values
// again might choose others.
Result<void> load_encoded(Backend& backend, WeightSource& source, const WeightPlan& plan,
                          const Linear& linear) {
  const int64_t run = run_of_rows(plan).shape[0];
  for (int64_t first = 0; first < linear.out; first += run) {
    EncodedRows rows(*plan.format, std::min(run, linear.out - first), linear.in);
    TRY(source.read_encoded(*plan.spec, first, rows));
    backend.pack_rows(linear, rows, first);
  }
  return {};
}

Result<void> check_scales(const WeightPlan& plan, TensorView vector) {
  for (const float scale : std::span(vector.as<const float>(), vector.elements()))
    if (!std::isfinite(scale) || scale < 0)
      return invalid(fmt::format("tensor {}: found {}, expected numbers from 0 on",
                                 quote_name(plan.spec->parts[0].source), scale),
                     plan.spec->parts[0].source);
  return {};
}

Result<void> load_vector(Backend& backend, WeightSource& source, const WeightPlan& plan,
                         DeviceSpan to, const HostBuffer& staging) {
  const TensorView vector{staging.data(), plan.dtype, plan.spec->shape};
  TRY(source.read(*plan.spec, vector));
  if (plan.spec->kind == TensorKind::kScale) TRY(check_scales(plan, vector));
  backend.upload({vector.as<const std::byte>(), vector.bytes()}, to);
  return {};
}

Result<void> load_matrix(Backend& backend, WeightSource& source, const WeightPlan& plan,
                         const Linear& linear, const HostBuffer& staging) {
  if (source.has_codes_of(*plan.spec, *plan.format))
    return load_encoded(backend, source, plan, linear);
  if (const auto drawn = source.random_matrix(*plan.spec); drawn && backend.draw(linear, *drawn))
    return {};
  TensorView rows = run_of_rows(plan);
  rows.data = staging.data();
  const int64_t run = rows.shape[0];
  for (int64_t first = 0; first < linear.out; first += run) {
    rows.shape = {std::min(run, linear.out - first), linear.in};
    TRY(source.read_rows(*plan.spec, first, rows));
    backend.pack_rows(linear, rows, first);
  }
  return {};
}

bool is_quantized(const WeightPlan& plan) {
  return plan.format && plan.format->is_quantized();
}

const auto& find(const auto& map, std::string_view name, const char* what) {
  const auto found = map.find(name);
  if (found == map.end()) check_failed(__FILE__, __LINE__, what, std::string(name));
  return found->second;
}

}  // namespace

Result<std::vector<WeightPlan>> plan_weights(Backend& backend, WeightSource& source,
                                             std::span<const TensorSpec> specs,
                                             const LoadOptions& options) {
  std::vector<WeightPlan> plans;
  for (const TensorSpec& spec : specs) {
    DType dtype = TRY(read_dtype(source, spec, options.activation));
    const WeightFormat* format = format_of(spec, dtype, options);
    if (format && format->is_quantized() && source.is_quantized(spec)) dtype = DType::kF32;
    const size_t bytes = format ? backend.packed_bytes(*format, spec.shape[0], spec.shape[1])
                                : TensorView{nullptr, dtype, spec.shape}.bytes();
    plans.push_back({&spec, dtype, format, bytes});
  }
  return plans;
}

WeightStore::WeightStore(std::shared_ptr<const void> owner, std::span<const WeightPlan> plans,
                         bool quantize_activations)
    : quantize_activations_(quantize_activations),
      unit_order_(std::ranges::none_of(plans, is_quantized)),
      owner_(std::move(owner)) {}

WeightStore::WeightStore(Backend& backend, std::span<const WeightPlan> plans,
                         bool quantize_activations)
    : WeightStore(nullptr, plans, quantize_activations) {
  std::vector<size_t> begins;
  for (const WeightPlan& plan : plans) {
    begins.push_back(bytes_);
    bytes_ += plan.bytes;
    if (!is_followed_closely(plan)) bytes_ = padded(bytes_);
  }
  memory_.push_back(backend.allocate(bytes_));
  for (size_t i = 0; i < plans.size(); ++i)
    add(plans[i], memory_.back().data() + static_cast<int64_t>(begins[i]));
}

void WeightStore::add(const WeightPlan& plan, DevicePointer at) {
  const TensorSpec& spec = *plan.spec;
  if (plan.format) {
    Linear linear = Linear::at(at, *plan.format, spec.shape[0], spec.shape[1]);
    if (quantize_activations_) linear.input = plan.format->input;
    linear.unit_order = unit_order_;
    CHECK(linears_.emplace(spec.name, linear).second);
  } else {
    CHECK(vectors_.emplace(spec.name, DeviceView{at, plan.dtype, spec.shape}).second);
  }
  if (!spec.member.stack.empty()) add_to_stack(plan, at);
}

// The first member says where the stack is.
void WeightStore::add_to_stack(const WeightPlan& plan, DevicePointer at) {
  CHECK(fits_stack(plan, at));
  const auto& [stack, index, count] = plan.spec->member;
  if (index > 0) return;
  if (plan.format == nullptr) {
    CHECK_EQ(plan.spec->shape.elements(), 1);
    vector_stacks_.emplace(stack, DeviceView{at, plan.dtype, {count}});
    return;
  }
  const Linear& w = linear(plan.spec->name);
  stacks_.emplace(stack, StackedLinear{.format = w.format,
                                       .count = count,
                                       .out = w.out,
                                       .in = w.in,
                                       .data = at,
                                       .stride_bytes = static_cast<int64_t>(padded(plan.bytes)),
                                       .input = w.input,
                                       .unit_order = w.unit_order});
}

// Each of the others must lie in its place. Where there is no first one, they are not used as one.
bool WeightStore::fits_stack(const WeightPlan& plan, DevicePointer at) const {
  const auto& [stack, index, count] = plan.spec->member;
  if (plan.format == nullptr) {
    const auto found = vector_stacks_.find(stack);
    return found == vector_stacks_.end() || at == found->second.rows(index, 1).data;
  }
  const auto found = stacks_.find(stack);
  return found == stacks_.end() || at == found->second.linear(index).data.data;
}

// Single numbers are aligned in a file, and a stack of them is not: it is copied.
Result<void> WeightStore::add_in_place(Backend& backend, const WeightPlan& plan,
                                       std::span<const std::byte> bytes) {
  CHECK_EQ(bytes.size(), plan.bytes);
  const StackMember& member = plan.spec->member;
  DevicePointer at;
  if (plan.format != nullptr || member.stack.empty()) {
    at = backend.map_host(bytes).data;
  } else {
    if (member.index == 0) memory_.push_back(backend.allocate(plan.bytes * member.count));
    at = memory_.back().data() + member.index * static_cast<int64_t>(plan.bytes);
    backend.upload(bytes, {at, plan.bytes});
  }
  if (!member.stack.empty() && !fits_stack(plan, at))
    return invalid(
        fmt::format("tensor {} does not lie behind the one before", quote_name(plan.spec->name)),
        plan.spec->name);
  bytes_ += bytes.size();
  add(plan, at);
  return {};
}

const Linear& WeightStore::linear(std::string_view name) const {
  return find(linears_, name, "a linear of this name");
}

DeviceView WeightStore::vector(std::string_view name) const {
  return find(vectors_, name, "a vector of this name");
}

const StackedLinear& WeightStore::stack(std::string_view name) const {
  return find(stacks_, name, "a stack of this name");
}

DeviceView WeightStore::vector_stack(std::string_view name) const {
  return find(vector_stacks_, name, "a stack of numbers of this name");
}

DeviceSpan WeightStore::memory(const WeightPlan& plan) const {
  const DeviceView view = plan.format ? linear(plan.spec->name).data : vector(plan.spec->name);
  return {view.data, plan.bytes};
}

void WeightStore::add_constants(Backend& backend, std::string name, std::span<const float> values) {
  memory_.push_back(backend.allocate(values.size_bytes()));
  bytes_ += values.size_bytes();
  backend.upload(std::as_bytes(values), memory_.back().span());
  const DeviceView view{memory_.back().data(), DType::kF32, {static_cast<int64_t>(values.size())}};
  CHECK(vectors_.emplace(std::move(name), view).second);
}

Result<WeightStore> load_planned_weights(Backend& backend, WeightSource& source,
                                         std::span<const WeightPlan> plans,
                                         const LoadOptions& options) {
  WeightStore store(backend, plans, options.quantize_activations);
  const HostBuffer staging = allocate_staging(backend, plans);
  size_t done = 0;
  for (const WeightPlan& plan : plans) {
    const std::string& name = plan.spec->name;
    if (plan.format)
      TRY(load_matrix(backend, source, plan, store.linear(name), staging));
    else
      TRY(load_vector(backend, source, plan, store.memory(plan), staging));
    if (options.progress) options.progress(++done, plans.size());
  }
  return store;
}

Result<WeightStore> load_weights(Backend& backend, WeightSource& source,
                                 std::span<const TensorSpec> specs, const LoadOptions& options) {
  const std::vector<WeightPlan> plans = TRY(plan_weights(backend, source, specs, options));
  return load_planned_weights(backend, source, plans, options);
}

}  // namespace erne::weights
