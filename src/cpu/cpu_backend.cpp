// Cuts each op into tasks for the threads and hands them to the kernels of the chosen instruction
// set.
#include "cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "cpu/experts.h"
#include "cpu/kernel_backend.h"
#include "cpu/kernels/expert_routing.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/rope_angles.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/host_view.h"
#include "cpu/machine/row_tasks.h"
#include "cpu/machine/thread_pool.h"
#include "cpu/packing/kv_blocks.h"
#include "cpu/packing/panel_format.h"
#include "cpu/packing/panels.h"
#include "cpu/paged_attention.h"
#include "cpu/products.h"

namespace erne::cpu {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::string name, const Kernels& kernels, int threads)
      : name_(std::move(name)),
        kernels_(kernels),
        pool_(threads),
        products_(kernels, pool_),
        experts_(kernels, pool_, products_) {}

  const char* name() const override { return name_.c_str(); }
  BackendLimits limits() const override {
    return {.block_tokens_multiple = kPanel, .head_dim_multiple = kPanel};
  }
  MemoryInfo memory() const override { return host_memory(); }
  DeviceBuffer allocate(size_t bytes) override { return DeviceBuffer(cpu::allocate_host(bytes)); }
  HostBuffer allocate_host(size_t bytes) override { return cpu::allocate_host(bytes); }
  void finish() override {}
  void parallel_for(int64_t count, const std::function<void(int64_t)>& body) override {
    pool_.parallel_for(count, [&](int64_t index, int) { body(index); });
  }
  bool reads_host_memory() const override { return true; }
  const char* packed_order() const override { return "cpu-panels-1"; }
  bool is_decoded(const WeightFormat& format, LinearInput input) const override {
    return products_.is_decoded(format, input);
  }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return cpu::packed_bytes(format, out, in);
  }

 private:
  void do_upload(std::span<const std::byte> from, DeviceSpan to) override {
    std::memcpy(DeviceAccess::pointer(to.data), from.data(), from.size());
  }
  void do_download(DeviceSpan from, std::span<std::byte> to) override {
    std::memcpy(to.data(), DeviceAccess::pointer(from.data), to.size());
  }
  void do_copy_out(DeviceSpan from, std::span<std::byte> to) override {
    copy(to.data(), DeviceAccess::pointer(from.data), to.size());
  }
  void do_copy_in(std::span<const std::byte> from, DeviceSpan to) override {
    copy(DeviceAccess::pointer(to.data), from.data(), from.size());
  }
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    cpu::pack_rows(packed_weight(w), rows, first_row, pool_);
  }
  void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) override {
    place_rows(packed_weight(w), rows, first_row, pool_);
  }
  void do_embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) override {
    read_rows(packed_weight(table), host_span<int32_t>(ids.values), host_view(x), pool_,
              embedded_rows_);
  }
  void do_rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                   const DeviceView& y) override {
    norm(host_view(x), nullptr, host_view(weight), eps, host_view(y));
  }
  void do_add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                       float eps, const DeviceView& y) override {
    const TensorView added = host_view(h);
    norm(host_view(x), &added, host_view(weight), eps, host_view(y));
  }
  void do_linear(const Linear& w, const DeviceView& x, const DeviceView& y) override {
    const Product product{&w, 0, x.shape[0]};
    products_.run({&product, 1}, host_view(x), {}, host_view(y));
  }
  void do_route(const RouteArgs& args) override { choose_experts(args, pool_); }
  void do_experts(const ExpertsArgs& args) override {
    count_expert_weights(args, experts_.run(args));
  }
  void do_rope(const DeviceView& qkv, const StagedIndices& positions, const DeviceView& inv_freq,
               int heads, int kv_heads) override;
  void do_kv_write(const KvWriteArgs& args) override {
    check_kv(args.kv);
    write_kv(args, pool_);
  }
  void do_attention(const AttentionArgs& args) override {
    check_kv(args.kv);
    attention_.run(args, kernels_, pool_);
  }
  void do_silu_mul(const DeviceView& gate_up, const DeviceView& y) override;
  void do_add(const DeviceView& x, const DeviceView& h) override;
  void do_gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y) override;

  static void check_kv(const KvLayerView& kv) {
    CHECK_EQ(kv.block_tokens % kPanel, 0);
    CHECK_EQ(kv.head_dim % kPanel, 0);
  }

  void copy(std::byte* to, const std::byte* from, size_t bytes);
  void norm(const TensorView& x, const TensorView* h, const TensorView& weight, float eps,
            const TensorView& y);

  const std::string name_;
  const Kernels& kernels_;
  ThreadPool pool_;
  Scratch embedded_rows_;
  RopeAngles angles_;
  PagedAttention attention_;
  Products products_;
  Experts experts_;
};

// One thread does not use all of a machine's bandwidth.
void CpuBackend::copy(std::byte* to, const std::byte* from, size_t bytes) {
  constexpr size_t kTaskBytes = 256 << 10;
  pool_.parallel_for(ceil_div(bytes, kTaskBytes), [&](int64_t task, int) {
    const size_t begin = task * kTaskBytes;
    std::memcpy(to + begin, from + begin, std::min(kTaskBytes, bytes - begin));
  });
}

void CpuBackend::norm(const TensorView& x, const TensorView* h, const TensorView& weight, float eps,
                      const TensorView& y) {
  const int64_t width = x.shape[1];
  for_rows(pool_, x.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.norm({x.dtype, row_of(x, first), h ? row_of(*h, first) : nullptr, weight.data,
                   row_of(y, first), count, width, eps});
  });
}

void CpuBackend::do_rope(const DeviceView& device_qkv, const StagedIndices& positions,
                         const DeviceView& inv_freq, int heads, int kv_heads) {
  const TensorView qkv = host_view(device_qkv);
  angles_.prepare(host_span<int32_t>(positions.values), host_span<float>(inv_freq), pool_);
  const int head_dim = static_cast<int>(2 * inv_freq.shape[0]);
  const int64_t width = qkv.shape[1];
  for_rows(pool_, qkv.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.rope(qkv.dtype, row_of(qkv, first), width, count, heads + kv_heads, head_dim,
                  angles_.cosines() + first * head_dim, angles_.sines() + first * head_dim);
  });
}

void CpuBackend::do_silu_mul(const DeviceView& device_gate_up, const DeviceView& device_y) {
  const TensorView gate_up = host_view(device_gate_up), y = host_view(device_y);
  const int64_t width = y.shape[1];
  for_rows(pool_, y.shape[0], 2 * width, [&](int64_t first, int64_t count) {
    kernels_.silu_mul(y.dtype, row_of(gate_up, first), row_of(y, first), count, width);
  });
}

void CpuBackend::do_add(const DeviceView& device_x, const DeviceView& device_h) {
  const TensorView x = host_view(device_x), h = host_view(device_h);
  const int64_t width = x.shape[1];
  for_rows(pool_, x.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.add(x.dtype, row_of(x, first), row_of(h, first), count * width);
  });
}

void CpuBackend::do_gather(const DeviceView& device_x, const StagedIndices& staged_rows,
                           const DeviceView& device_y) {
  const TensorView x = host_view(device_x), y = host_view(device_y);
  const auto rows = host_span<int32_t>(staged_rows.values);
  const size_t row_bytes = x.shape[1] * dtype_bytes(x.dtype);
  for (size_t r = 0; r < rows.size(); ++r)
    std::memmove(row_of(y, static_cast<int64_t>(r)), row_of(x, rows[r]), row_bytes);
}

}  // namespace

int usable_cpus() {
  return host_cpus();
}

std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa, int threads) {
  CHECK(cpu_supports(isa));
  return make_cpu_backend(std::string("cpu-") + cpu_isa_name(isa), kernels_of(isa),
                          threads == 0 ? usable_cpus() : threads);
}

std::unique_ptr<Backend> make_cpu_backend(std::string name, const Kernels& kernels, int threads) {
  return std::make_unique<CpuBackend>(std::move(name), kernels, threads);
}

}  // namespace erne::cpu
