// For tests: a back end that hands everything on to another one. What derives from it looks at the
// ops it cares for, or at every access to device memory alike.
#pragma once

#include <functional>

#include "backend/backend.h"

namespace erne {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(Backend& inner) : inner_(inner) {}

  const char* name() const override { return inner_.name(); }
  BackendLimits limits() const override { return inner_.limits(); }
  MemoryInfo memory() const override { return inner_.memory(); }
  DeviceBuffer allocate(size_t bytes) override { return inner_.allocate(bytes); }
  HostBuffer allocate_host(size_t bytes) override { return inner_.allocate_host(bytes); }
  void finish() override { inner_.finish(); }
  void parallel_for(int64_t count, const std::function<void(int64_t)>& body) override {
    inner_.parallel_for(count, body);
  }
  bool reads_host_memory() const override { return inner_.reads_host_memory(); }
  bool samples() const override { return inner_.samples(); }
  const char* packed_order() const override { return inner_.packed_order(); }
  bool is_decoded(const WeightFormat& format, LinearInput input) const override {
    return inner_.is_decoded(format, input);
  }
  bool draw(const Linear& w, const RandomMatrix& matrix) override {
    bool is_drawn = false;
    pass([&] { is_drawn = inner_.draw(w, matrix); });
    return is_drawn;
  }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return inner_.packed_bytes(format, out, in);
  }

 protected:
  // Called for each access to device memory, which is what `access` does.
  virtual void pass(const std::function<void()>& access) { access(); }

  void do_upload(std::span<const std::byte> from, DeviceSpan to) override {
    pass([&] { inner_.upload(from, to); });
  }
  void do_download(DeviceSpan from, std::span<std::byte> to) override {
    pass([&] { inner_.download(from, to); });
  }
  void do_copy_out(DeviceSpan from, std::span<std::byte> to) override {
    pass([&] { inner_.copy_out(from, to); });
  }
  void do_copy_in(std::span<const std::byte> from, DeviceSpan to) override {
    pass([&] { inner_.copy_in(from, to); });
  }
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    pass([&] { inner_.pack_rows(w, rows, first_row); });
  }
  void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) override {
    pass([&] { inner_.pack_rows(w, rows, first_row); });
  }
  void do_embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) override {
    pass([&] { inner_.embed(table, ids, x); });
  }
  void do_rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                   const DeviceView& y) override {
    pass([&] { inner_.rms_norm(x, weight, eps, y); });
  }
  void do_add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                       float eps, const DeviceView& y) override {
    pass([&] { inner_.add_rms_norm(x, h, weight, eps, y); });
  }
  void do_linear(const Linear& w, const DeviceView& x, const DeviceView& y) override {
    pass([&] { inner_.linear(w, x, y); });
  }
  void do_rope(const DeviceView& qkv, const StagedIndices& positions, const DeviceView& inv_freq,
               int heads, int kv_heads) override {
    pass([&] { inner_.rope(qkv, positions, inv_freq, heads, kv_heads); });
  }
  void do_kv_write(const KvWriteArgs& args) override {
    pass([&] { inner_.kv_write(args); });
  }
  void do_rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                        const DeviceView& inv_freq, int) override {
    pass([&] { inner_.rope_kv_write(args, positions, inv_freq); });
  }
  void do_attention(const AttentionArgs& args) override {
    pass([&] { inner_.attention(args); });
  }
  void do_silu_mul(const DeviceView& gate_up, const DeviceView& y) override {
    pass([&] { inner_.silu_mul(gate_up, y); });
  }
  void do_add(const DeviceView& x, const DeviceView& h) override {
    pass([&] { inner_.add(x, h); });
  }
  void do_route(const RouteArgs& args) override {
    pass([&] { inner_.route(args); });
  }
  void do_experts(const ExpertsArgs& args) override {
    const int64_t before = inner_.counters().bytes;
    pass([&] { inner_.experts(args); });
    const auto activations = static_cast<int64_t>(args.x.bytes() + args.y.bytes() +
                                                  args.experts.bytes() + args.weights.bytes());
    const int64_t expert_bytes = args.gate_up.format->bytes(args.gate_up.out, args.gate_up.in) +
                                 args.down.format->bytes(args.down.out, args.down.in);
    count_expert_weights(args, (inner_.counters().bytes - before - activations) / expert_bytes);
  }
  void do_gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y) override {
    pass([&] { inner_.gather(x, rows, y); });
  }

  void do_sample(const SampleArgs& args) override {
    pass([&] { inner_.sample(args); });
  }

  Backend& inner_;
};

}  // namespace erne
