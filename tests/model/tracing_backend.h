// A Backend that does what another does and keeps the residual stream where the model's blocks end.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace erne::tests {

class TracingBackend final : public Backend {
 public:
  explicit TracingBackend(Backend& inner) : inner_(inner) {}

  const char* name() const override { return inner_.name(); }
  DeviceBuffer allocate(size_t bytes, Space space) override {
    return inner_.allocate(bytes, space);
  }
  MemoryInfo memory() const override { return inner_.memory(); }
  const char* packed_order() const override { return inner_.packed_order(); }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return inner_.packed_bytes(format, out, in);
  }

  std::vector<std::vector<float>> residuals;  // after the embedding and after every layer
  std::vector<float> last_norm;               // what rms_norm wrote last: the final norm
  struct Route {
    std::vector<float> logits, weights;
    std::vector<int32_t> experts;
  };
  std::vector<Route> routes;  // of every mixture

 private:
  static std::vector<float> floats(TensorView view) {
    CHECK(view.dtype == DType::kF32);
    return {view.as<float>(), view.as<float>() + view.elements()};
  }

  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    inner_.pack_rows(w, rows, first_row);
  }
  void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) override {
    inner_.pack_rows(w, rows, first_row);
  }
  void do_embed(const Linear& table, std::span<const int32_t> ids, TensorView x) override {
    inner_.embed(table, ids, x);
    residuals.push_back(floats(x));
  }
  void do_rms_norm(TensorView x, TensorView weight, float eps, TensorView y) override {
    inner_.rms_norm(x, weight, eps, y);
    last_norm = floats(y);
  }
  void do_route(const RouteArgs& args) override {
    inner_.route(args);
    const auto* experts = args.experts.as<const int32_t>();
    routes.push_back(
        {floats(args.logits), floats(args.weights), {experts, experts + args.experts.elements()}});
  }
  int64_t do_experts(const ExpertsArgs& args) override {
    inner_.experts(args);
    return static_cast<int64_t>(args.down.size());
  }
  void do_add(TensorView x, TensorView h) override {
    inner_.add(x, h);
    residuals.push_back(floats(x));
  }

  void do_add_rms_norm(TensorView x, TensorView h, TensorView weight, float eps,
                       TensorView y) override {
    inner_.add_rms_norm(x, h, weight, eps, y);
  }
  void do_linear(const Linear& w, TensorView x, TensorView y) override { inner_.linear(w, x, y); }
  void do_rope(TensorView qkv, std::span<const int32_t> positions, TensorView inv_freq, int heads,
               int kv_heads) override {
    inner_.rope(qkv, positions, inv_freq, heads, kv_heads);
  }
  void do_kv_write(const KvWriteArgs& args) override { inner_.kv_write(args); }
  void do_attention(const AttentionArgs& args) override { inner_.attention(args); }
  void do_silu_mul(TensorView gate_up, TensorView y) override { inner_.silu_mul(gate_up, y); }
  void do_gather(TensorView x, std::span<const int32_t> rows, TensorView y) override {
    inner_.gather(x, rows, y);
  }
  void do_copy_blocks(std::span<const KvLayerView> layers,
                      std::span<const std::pair<int32_t, int32_t>> copies) override {
    inner_.copy_blocks(layers, copies);
  }

  Backend& inner_;
};

}  // namespace erne::tests
