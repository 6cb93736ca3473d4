#include "model/model.h"

namespace erne::model {
namespace {

constexpr size_t kAlignment = 64;

// Calls visit(member, shape) for every activation at the limits: the one list of their shapes.
template <class Visit>
void visit_activations(const ErnieConfig& c, StepLimits limits, Visit visit) {
  const int64_t tokens = limits.max_tokens;
  visit(&Activations::x, Shape{tokens, c.hidden_size});
  visit(&Activations::h, Shape{tokens, c.hidden_size});
  visit(&Activations::qkv, Shape{tokens, c.qkv_width()});
  visit(&Activations::attention, Shape{tokens, c.q_width()});
  visit(&Activations::gate_up, Shape{tokens, 2 * c.intermediate_size});
  visit(&Activations::ffn, Shape{tokens, c.intermediate_size});
  visit(&Activations::logit_rows, Shape{limits.max_logit_rows, c.hidden_size});
}

size_t padded_bytes(Shape shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * dtype_bytes(dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

size_t Workspace::bytes(const ErnieConfig& config, DType activation, StepLimits limits) {
  size_t total = 0;
  visit_activations(config, limits,
                    [&](auto, Shape shape) { total += padded_bytes(shape, activation); });
  return total;
}

Workspace::Workspace(Backend& backend, const ErnieConfig& config, DType activation,
                     StepLimits limits)
    : limits_(limits),
      memory_(backend.allocate(bytes(config, activation, limits), Space::kDevice)) {
  auto* at = static_cast<std::byte*>(memory_.data());
  visit_activations(config, limits, [&](auto member, Shape shape) {
    all_.*member = TensorView{at, activation, shape};
    at += padded_bytes(shape, activation);
  });
}

Activations Workspace::rows(int64_t num_tokens, int64_t num_logit_rows) const {
  CHECK_LE(num_tokens, limits_.max_tokens);
  CHECK_LE(num_logit_rows, limits_.max_logit_rows);
  Activations cut = all_;
  for (auto member : {&Activations::x, &Activations::h, &Activations::qkv, &Activations::attention,
                      &Activations::gate_up, &Activations::ffn})
    cut.*member = (all_.*member).first(num_tokens);
  cut.logit_rows = all_.logit_rows.first(num_logit_rows);
  return cut;
}

}  // namespace erne::model
