// A Backend that does what another does and keeps the residual stream where the model's blocks end.
#pragma once

#include <vector>

#include "backend/forwarding_backend.h"
#include "backend/readback.h"

namespace erne::tests {

class TracingBackend final : public ForwardingBackend {
 public:
  explicit TracingBackend(Backend& inner) : ForwardingBackend(inner), readback_(inner) {}

  std::vector<std::vector<float>> residuals;  // after the embedding and after every layer
  std::vector<float> last_norm;               // what rms_norm wrote last: the final norm
  struct Route {
    std::vector<float> logits, weights;
    std::vector<int32_t> experts;
  };
  std::vector<Route> routes;  // of every mixture

 private:
  template <class T>
  std::vector<T> copy(const DeviceView& view) {
    const auto values = readback_.read<T>(view);
    return {values.begin(), values.end()};
  }

  void do_embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) override {
    inner_.embed(table, ids, x);
    residuals.push_back(copy<float>(x));
  }
  void do_rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                   const DeviceView& y) override {
    inner_.rms_norm(x, weight, eps, y);
    last_norm = copy<float>(y);
  }
  // A layer adds to x twice; the second time the norm is the next one's.
  void do_add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                       float eps, const DeviceView& y) override {
    inner_.add_rms_norm(x, h, weight, eps, y);
    if (in_layer_) residuals.push_back(copy<float>(x));
    in_layer_ = !in_layer_;
  }
  void do_route(const RouteArgs& args) override {
    inner_.route(args);
    routes.push_back(
        {copy<float>(args.logits), copy<float>(args.weights), copy<int32_t>(args.experts)});
  }
  void do_add(const DeviceView& x, const DeviceView& h) override {
    inner_.add(x, h);
    residuals.push_back(copy<float>(x));
    in_layer_ = false;
  }

  bool in_layer_ = false;  // past its attention
  Readback readback_;
};

}  // namespace erne::tests
