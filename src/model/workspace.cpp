#include <algorithm>

#include "model/model.h"

namespace erne::model {
namespace {

constexpr size_t kAlignment = 64;

// Calls visit(member, type, shape) for every activation at the limits: the one list of their
// shapes.
template <class Visit>
void visit_activations(const ErnieConfig& c, DType activation, StepLimits limits, Visit visit) {
  const int64_t tokens = limits.max_tokens;
  const int64_t ffn_width = std::max(c.intermediate_size, c.moe.shared_width());
  visit(&Activations::x, activation, Shape{tokens, c.hidden_size});
  visit(&Activations::h, activation, Shape{tokens, c.hidden_size});
  visit(&Activations::qkv, activation, Shape{tokens, c.qkv_width()});
  visit(&Activations::attention, activation, Shape{tokens, c.q_width()});
  visit(&Activations::gate_up, activation, Shape{tokens, 2 * ffn_width});
  visit(&Activations::ffn, activation, Shape{tokens, ffn_width});
  if (c.has_experts()) {
    visit(&Activations::router_logits, DType::kF32, Shape{tokens, c.moe.num_experts});
    visit(&Activations::experts, DType::kI32, Shape{tokens, c.moe.top_k});
    visit(&Activations::expert_weights, DType::kF32, Shape{tokens, c.moe.top_k});
    visit(&Activations::mixture, activation, Shape{tokens, c.hidden_size});
  }
  visit(&Activations::logit_rows, activation, Shape{limits.max_logit_rows, c.hidden_size});
}

size_t padded_bytes(Shape shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * dtype_bytes(dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

size_t Workspace::bytes(const ErnieConfig& config, DType activation, StepLimits limits) {
  size_t total = 0;
  visit_activations(config, activation, limits,
                    [&](auto, DType type, Shape shape) { total += padded_bytes(shape, type); });
  return total;
}

Workspace::Workspace(Backend& backend, const ErnieConfig& config, DType activation,
                     StepLimits limits)
    : limits_(limits), memory_(backend.allocate(bytes(config, activation, limits))) {
  DevicePointer at = memory_.data();
  visit_activations(config, activation, limits, [&](auto member, DType type, Shape shape) {
    all_.*member = DeviceView{at, type, shape};
    at = at + static_cast<int64_t>(padded_bytes(shape, type));
  });
}

Activations Workspace::rows(int64_t num_tokens, int64_t num_logit_rows) const {
  CHECK_LE(num_tokens, limits_.max_tokens);
  CHECK_LE(num_logit_rows, limits_.max_logit_rows);
  Activations cut = all_;
  for (auto member : {&Activations::x, &Activations::h, &Activations::qkv, &Activations::attention,
                      &Activations::gate_up, &Activations::ffn, &Activations::router_logits,
                      &Activations::experts, &Activations::expert_weights, &Activations::mixture})
    if ((all_.*member).data) cut.*member = (all_.*member).first(num_tokens);
  cut.logit_rows = all_.logit_rows.first(num_logit_rows);
  return cut;
}

}  // namespace erne::model
