// Cuts each op into tasks for the threads and hands them to the kernels of the chosen instruction
// set.
#include "cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/code_weights.h"
#include "cpu/host_memory.h"
#include "cpu/kernel_backend.h"
#include "cpu/kernels.h"
#include "cpu/kv_blocks.h"
#include "cpu/paged_attention.h"
#include "cpu/panels.h"
#include "cpu/rope_angles.h"
#include "cpu/thread_pool.h"
#include "cpu/weight_panels.h"

namespace erne::cpu {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Elementwise ops on fewer elements than this are over before a second thread has begun.
constexpr int64_t kTaskElements = 8192;

std::byte* row_of(const TensorView& view, int64_t row) {
  return view.as<std::byte>() + row * view.shape[1] * dtype_bytes(view.dtype);
}

// The rows from `row` on.
QuantizedRows rows_from(const QuantizedRows& rows, int64_t num_groups, int64_t row) {
  return {rows.data + row * rows.stride, rows.stride, rows.scales + row * num_groups,
          rows.sums + row * num_groups};
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::string name, const Kernels& kernels, int threads)
      : name_(std::move(name)),
        kernels_(kernels),
        pool_(threads),
        worker_scratch_(pool_.threads()) {}

  const char* name() const override { return name_.c_str(); }
  DeviceBuffer allocate(size_t bytes, Space) override { return allocate_host(bytes); }
  MemoryInfo memory() const override { return host_memory(); }
  const char* packed_order() const override { return "cpu-panels-1"; }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return format.is_quantized() ? code_bytes(format, out, in) : panel_bytes(format, out, in);
  }

 private:
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    w.format->is_quantized() ? pack_codes(w, rows, first_row, pool_)
                             : pack_panels(w, rows, first_row, pool_);
  }
  void do_embed(const Linear& table, std::span<const int32_t> ids, TensorView x) override {
    table.format->is_quantized() ? read_code_rows(table, ids, x, pool_)
                                 : read_rows(table, ids, x, pool_);
  }
  void do_rms_norm(TensorView x, TensorView weight, float eps, TensorView y) override {
    norm(x, nullptr, weight, eps, y);
  }
  void do_add_rms_norm(TensorView x, TensorView h, TensorView weight, float eps,
                       TensorView y) override {
    norm(x, &h, weight, eps, y);
  }
  void do_linear(const Linear& w, TensorView x, TensorView y) override;
  void do_rope(TensorView qkv, std::span<const int32_t> positions, TensorView inv_freq, int heads,
               int kv_heads) override;
  void do_kv_write(const KvWriteArgs& args) override {
    check_kv(args.kv);
    write_kv(args, pool_);
  }
  void do_attention(const AttentionArgs& args) override {
    check_kv(args.kv);
    attention_.run(args, kernels_, pool_);
  }
  void do_silu_mul(TensorView gate_up, TensorView y) override;
  void do_add(TensorView x, TensorView h) override;
  void do_gather(TensorView x, std::span<const int32_t> rows, TensorView y) override;
  void do_copy_blocks(std::span<const KvLayerView> layers,
                      std::span<const std::pair<int32_t, int32_t>> copies) override {
    copy_kv_blocks(layers, copies, pool_);
  }

  // body(first row, number of rows): rows of an elementwise op, some thousand elements at a time.
  template <class Body>
  void for_rows(int64_t num_rows, int64_t width, const Body& body) {
    const int64_t step = std::max<int64_t>(1, kTaskElements / width);
    pool_.parallel_for(ceil_div(num_rows, step), [&](int64_t task, int) {
      body(task * step, std::min(step, num_rows - task * step));
    });
  }

  static void check_kv(const KvLayerView& kv) {
    CHECK_EQ(kv.block_tokens % kPanel, 0);
    CHECK_EQ(kv.head_dim % kPanel, 0);
  }

  void norm(const TensorView& x, const TensorView* h, const TensorView& weight, float eps,
            const TensorView& y);

  // Rows of activations as a kernel takes them.
  struct Rows {
    const std::byte* data;
    DType type;
    int64_t stride;  // elements

    const void* from(int64_t row) const { return data + row * stride * dtype_bytes(type); }
  };
  Rows as_float(const TensorView& x);
  QuantizedRows as_int8(const TensorView& x, const CodePanels& w);

  // body(first row, number of rows, first panel, end panel, worker): a product of num_rows rows and
  // `panels` panels, shared out.
  template <class Body>
  void for_tiles(int64_t num_rows, int64_t panels, const Body& body);
  void plain_linear(const Linear& w, const TensorView& x, const TensorView& y);
  void code_linear(const Linear& w, const TensorView& x, const TensorView& y);
  void decoded_linear(const Linear& w, const TensorView& x, const TensorView& y);

  const std::string name_;
  const Kernels& kernels_;
  ThreadPool pool_;
  RopeAngles angles_;
  PagedAttention attention_;
  Scratch scratch_;
  std::vector<Scratch> worker_scratch_;
};

void CpuBackend::norm(const TensorView& x, const TensorView* h, const TensorView& weight, float eps,
                      const TensorView& y) {
  const int64_t width = x.shape[1];
  for_rows(x.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.norm({x.dtype, row_of(x, first), h ? row_of(*h, first) : nullptr, weight.data,
                   row_of(y, first), count, width, eps});
  });
}

// bfloat16 rows are widened once for all columns. The padding keeps rows of a power-of-two width
// from falling into the same few sets of the cache.
CpuBackend::Rows CpuBackend::as_float(const TensorView& x) {
  const int64_t rows = x.shape[0], width = x.shape[1];
  if (x.dtype == DType::kF32) return {x.as<std::byte>(), DType::kF32, width};
  const int64_t stride = ceil_div(width, kPanel) * kPanel + kPanel;
  float* out = scratch_.floats(rows * stride);
  for_rows(rows, width, [&](int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; ++row)
      kernels_.widen(x.as<const Bf16>() + row * width, width, out + row * stride);
  });
  return {reinterpret_cast<std::byte*>(out), DType::kF32, stride};
}

// As 8-bit integers. The padding is there for the same reason.
QuantizedRows CpuBackend::as_int8(const TensorView& x, const CodePanels& w) {
  const int64_t rows = x.shape[0], groups = num_groups(w);
  const int64_t stride = round_up(w.in, 64) + 64;
  float* scales = scratch_.floats(rows * 2 * groups + (rows + kRowPadding) * stride / 4);
  auto* sums = reinterpret_cast<int32_t*>(scales + rows * groups);
  const QuantizedRows all{reinterpret_cast<int8_t*>(sums + rows * groups), stride, scales, sums};
  for_rows(rows, w.in, [&](int64_t first, int64_t count) {
    kernels_.quantize({.type = x.dtype,
                       .x = row_of(x, first),
                       .num_rows = count,
                       .in = w.in,
                       .group = w.group,
                       .y = rows_from(all, groups, first)});
  });
  return all;
}

template <class Body>
void CpuBackend::for_tiles(int64_t num_rows, int64_t panels, const Body& body) {
  const int64_t row_blocks = ceil_div(num_rows, kLinearRows);
  // With few rows a thread streams weights: longer runs of them, while there are enough to share
  // out.
  const int64_t shares = panels / (int64_t{4} * pool_.threads());
  const int64_t longest = num_rows <= kLinearPanels ? 8 * kLinearPanels : kLinearPanels;
  const int64_t step = std::clamp<int64_t>(shares / kLinearPanels * kLinearPanels,
                                           std::min<int64_t>(kLinearPanels, panels), longest);
  pool_.parallel_for(ceil_div(panels, step) * row_blocks, [&](int64_t task, int worker) {
    const int64_t row = task % row_blocks * kLinearRows, panel = task / row_blocks * step;
    body(row, std::min<int64_t>(kLinearRows, num_rows - row), panel, std::min(panel + step, panels),
         worker);
  });
}

void CpuBackend::do_linear(const Linear& w, TensorView x, TensorView y) {
  if (!w.format->is_quantized())
    plain_linear(w, x, y);
  else if (w.input == LinearInput::kInt8)
    code_linear(w, x, y);
  else
    decoded_linear(w, x, y);
}

void CpuBackend::plain_linear(const Linear& w, const TensorView& x, const TensorView& y) {
  const bool as_given = kernels_.bf16_rows && x.dtype == DType::kBf16 &&
                        w.data.dtype == DType::kBf16 && w.in % 2 == 0;
  const Rows rows = as_given ? Rows{x.as<std::byte>(), DType::kBf16, w.in} : as_float(x);
  for_tiles(x.shape[0], num_panels(w.out),
            [&](int64_t row, int64_t count, int64_t panel, int64_t end, int worker) {
              kernels_.linear({.weight = w.data.data,
                               .weight_type = w.data.dtype,
                               .in = w.in,
                               .out = w.out,
                               .first_panel = panel,
                               .end_panel = end,
                               .x = rows.from(row),
                               .x_type = rows.type,
                               .x_stride = rows.stride,
                               .num_rows = count,
                               .y = row_of(y, row),
                               .y_type = y.dtype,
                               .y_stride = w.out},
                              worker_scratch_[worker].floats(kLinearScratch));
            });
}

void CpuBackend::code_linear(const Linear& w, const TensorView& x, const TensorView& y) {
  const CodePanels panels = code_panels(w);
  const QuantizedRows rows = as_int8(x, panels);
  for_tiles(x.shape[0], num_panels(w.out),
            [&](int64_t row, int64_t count, int64_t panel, int64_t end, int worker) {
              float* scratch = worker_scratch_[worker].floats(code_scratch(panels) / 4);
              kernels_.code_linear({.weight = panels,
                                    .out = w.out,
                                    .first_panel = panel,
                                    .end_panel = end,
                                    .x = rows_from(rows, num_groups(panels), row),
                                    .num_rows = count,
                                    .y = row_of(y, row),
                                    .y_type = y.dtype,
                                    .y_stride = w.out},
                                   reinterpret_cast<uint8_t*>(scratch));
            });
}

// Some panels at a time become float32 and are multiplied as if they had always been: the values,
// and so the bits, of a plain matrix of decoded weights.
void CpuBackend::decoded_linear(const Linear& w, const TensorView& x, const TensorView& y) {
  const CodePanels panels = code_panels(w);
  const Rows rows = as_float(x);
  for_tiles(x.shape[0], num_panels(w.out),
            [&](int64_t row, int64_t count, int64_t first, int64_t end, int worker) {
              const int64_t stride = panel_stride(DType::kF32, w.in);
              float* scratch =
                  worker_scratch_[worker].floats(kLinearScratch + kLinearPanels * stride);
              float* decoded = scratch + kLinearScratch;
              for (int64_t panel = first; panel < end; panel += kLinearPanels) {
                const int64_t at_once = std::min<int64_t>(kLinearPanels, end - panel);
                for (int64_t p = 0; p < at_once; ++p)
                  kernels_.decode_panel(panels, panel + p, decoded + p * stride);
                const int64_t column = panel * kPanel;
                kernels_.linear({.weight = decoded,
                                 .weight_type = DType::kF32,
                                 .in = w.in,
                                 .out = w.out - column,
                                 .first_panel = 0,
                                 .end_panel = at_once,
                                 .x = rows.from(row),
                                 .x_type = rows.type,
                                 .x_stride = rows.stride,
                                 .num_rows = count,
                                 .y = row_of(y, row) + column * dtype_bytes(y.dtype),
                                 .y_type = y.dtype,
                                 .y_stride = w.out},
                                scratch);
              }
            });
}

void CpuBackend::do_rope(TensorView qkv, std::span<const int32_t> positions, TensorView inv_freq,
                         int heads, int kv_heads) {
  const int64_t half = inv_freq.shape[0];
  angles_.prepare(positions, {inv_freq.as<const float>(), static_cast<size_t>(half)}, pool_);
  const int head_dim = static_cast<int>(2 * half);
  const int64_t width = qkv.shape[1];
  for_rows(qkv.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.rope(qkv.dtype, row_of(qkv, first), width, count, heads + kv_heads, head_dim,
                  angles_.cosines() + first * head_dim, angles_.sines() + first * head_dim);
  });
}

void CpuBackend::do_silu_mul(TensorView gate_up, TensorView y) {
  const int64_t width = y.shape[1];
  for_rows(y.shape[0], 2 * width, [&](int64_t first, int64_t count) {
    kernels_.silu_mul(y.dtype, row_of(gate_up, first), row_of(y, first), count, width);
  });
}

void CpuBackend::do_add(TensorView x, TensorView h) {
  const int64_t width = x.shape[1];
  for_rows(x.shape[0], width, [&](int64_t first, int64_t count) {
    kernels_.add(x.dtype, row_of(x, first), row_of(h, first), count * width);
  });
}

void CpuBackend::do_gather(TensorView x, std::span<const int32_t> rows, TensorView y) {
  const size_t row_bytes = x.shape[1] * dtype_bytes(x.dtype);
  for (size_t r = 0; r < rows.size(); ++r)
    std::memmove(row_of(y, static_cast<int64_t>(r)), row_of(x, rows[r]), row_bytes);
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa, int threads) {
  CHECK(cpu_supports(isa));
  return make_cpu_backend(std::string("cpu-") + cpu_isa_name(isa), kernels_of(isa),
                          threads == 0 ? usable_cpus() : threads);
}

std::unique_ptr<Backend> make_cpu_backend(std::string name, const Kernels& kernels, int threads) {
  return std::make_unique<CpuBackend>(std::move(name), kernels, threads);
}

}  // namespace erne::cpu
