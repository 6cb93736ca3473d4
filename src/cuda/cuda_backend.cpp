#include "cuda/cuda_backend.h"

#include <array>
#include <map>
#include <utility>

#include "base/log.h"
#include "cuda/choose_units.h"
#include "cuda/kernels/attention_planner.h"
#include "cuda/kernels/kernels.h"
#include "cuda/packing/kv_blocks.h"
#include "cuda/packing/packed_matrix.h"
#include "cuda/packing/place_rows.h"
#include "cuda/runtime/rehearsal_runtime.h"
#include "cuda/runtime/row_uploads.h"
#include "cuda/runtime/runtime.h"
#include "cuda/runtime/scratch.h"
#include "cuda/runtime/stream.h"
#include "cuda/runtime/uploads.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Of a step that becomes a graph: in larger ones kernels take longer than their launches.
constexpr int64_t kMostRecordedTokens = 512;
// Each takes memory for as long as the server runs; steps of other sizes go on as they come. So
// many for steps in which every row has one token, and for others, whose sizes are many.
constexpr int kMostGraphs = 256;
constexpr size_t kGraphBytes = 512 << 10;  // of some hundred launches; no card has measured it yet

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<Runtime> runtime, HostThreads host_threads)
      : runtime_(std::move(runtime)), host_threads_(std::move(host_threads)) {
    Scratch comparing(*runtime_);  // the steps' own memory is what they need, and no more
    const ChosenUnits chosen = choose_matrix_units(*runtime_, comparing);
    matrix_units_ = chosen.units;
    if (runtime_->stream().is_rehearsal) return;
    log_info("{}: products of many rows by {}: {}", name(),
             chosen.units == MatrixUnits::kWarpgroups ? "warpgroups" : "warps", chosen.why);
  }

  const char* name() const override { return runtime_->facts().name.c_str(); }
  BackendLimits limits() const override {
    return {.block_tokens_multiple = kKvPanel, .head_dim_multiple = kKvPanel};
  }
  MemoryInfo memory() const override {
    return {runtime_->facts().total_bytes, runtime_->available_bytes()};
  }
  DeviceBuffer allocate(size_t bytes) override {
    if (bytes == 0) return {};
    return {runtime_->allocate(bytes), bytes, [this](void* memory) { runtime_->free(memory); }};
  }
  HostBuffer allocate_host(size_t bytes) override {
    if (bytes == 0) return {};
    return {runtime_->allocate_host(bytes), bytes,
            [this](void* memory) { runtime_->free_host(memory); }};
  }
  void finish() override { row_uploads_.give_back(); }  // which waits for all
  void run(const RunKey& key, const std::function<void()>& body) override;
  void parallel_for(int64_t count, const std::function<void(int64_t)>& body) override {
    host_threads_(count, body);
  }
  bool reads_host_memory() const override { return false; }
  bool samples() const override { return true; }
  const char* packed_order() const override { return "cuda-fragments-2"; }
  size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const override {
    return PackedMatrix(format, out, in).bytes;
  }
  bool draw(const Linear& w, const RandomMatrix& matrix) override;

 private:
  void do_upload(std::span<const std::byte> from, DeviceSpan to) override {
    uploads_.upload(from, DeviceAccess::pointer(to.data));
  }
  void do_download(DeviceSpan from, std::span<std::byte> to) override {
    runtime_->copy_out(DeviceAccess::pointer(from.data), to.data(), to.size());
    runtime_->finish();
  }
  void do_copy_out(DeviceSpan from, std::span<std::byte> to) override {
    runtime_->copy_out(DeviceAccess::pointer(from.data), to.data(), to.size());
  }
  void do_copy_in(std::span<const std::byte> from, DeviceSpan to) override {
    runtime_->copy_in(from.data(), DeviceAccess::pointer(to.data), from.size());
  }
  void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) override {
    if (w.format->encoding == Encoding::kCcq)  // a search over all codes
      return do_pack_encoded(w, encode_rows(*w.format, rows), first_row);
    kernels::pack_rows(stream(), w, row_uploads_.upload(rows), first_row);
    order_launches(stream());  // kernels may read weights before they wait
  }
  void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) override {
    place(w, place_rows(PackedMatrix(w), rows, first_row));
  }
  void do_embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) override {
    kernels::embed(stream(), table, ids, x);
  }
  void do_rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                   const DeviceView& y) override {
    kernels::rms_norm(stream(), x, nullptr, weight, eps, y);
  }
  void do_add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                       float eps, const DeviceView& y) override {
    kernels::rms_norm(stream(), x, &h, weight, eps, y);
  }
  void do_linear(const Linear& w, const DeviceView& x, const DeviceView& y) override {
    kernels::linear(stream(), scratch(), matrix_units_, w, x, y);
  }
  void do_rope(const DeviceView& qkv, const StagedIndices& positions, const DeviceView& inv_freq,
               int heads, int kv_heads) override {
    kernels::rope(stream(), qkv, positions, inv_freq, heads + kv_heads);
  }
  void do_kv_write(const KvWriteArgs& args) override { kernels::kv_write(stream(), args); }
  void do_rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                        const DeviceView& inv_freq, int heads) override {
    kernels::rope_kv_write(stream(), args, positions, inv_freq, heads);
  }
  void do_attention(const AttentionArgs& args) override {
    if (!is_in_run_) planner_.forget();
    kernels::attention(stream(), scratch(), planner_, matrix_units_, runtime_->facts().shared_bytes,
                       args);
  }
  void do_silu_mul(const DeviceView& gate_up, const DeviceView& y) override {
    kernels::silu_mul(stream(), gate_up, y);
  }
  void do_add(const DeviceView& x, const DeviceView& h) override { kernels::add(stream(), x, h); }
  void do_route(const RouteArgs& args) override { kernels::route(stream(), args); }
  void do_experts(const ExpertsArgs& args) override {
    kernels::experts(stream(), scratch(), matrix_units_, args);
    count_expert_weights(args, std::min(args.gate_up.count, args.experts.elements()));
  }
  void do_gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y) override {
    kernels::gather(stream(), x, rows, y);
  }

  void do_sample(const SampleArgs& args) override { kernels::sample(stream(), scratch(), args); }

  Stream& stream() { return runtime_->stream(); }
  // For the op that begins.
  Scratch& scratch() {
    scratch_.begin_op();
    return scratch_;
  }

  void place(const Linear& w, const PlacedRows& rows) {
    auto* const matrix = DeviceAccess::pointer(w.data.data);
    uploads_.upload(std::as_bytes(std::span(rows.numbers)), matrix + rows.numbers_at);
    uploads_.upload(std::as_bytes(std::span(rows.scales)), matrix + rows.scales_at);
  }

  // As it comes. Within, a batch stays as it is: what overwrote it would not be repeated.
  void call(const std::function<void()>& body) {
    planner_.forget();
    is_in_run_ = true;
    body();
    is_in_run_ = false;
  }

  // What was recorded, and the work that each repetition counts as.
  struct Recording {
    std::unique_ptr<Graph> graph;
    OpCounters work;
  };

  const std::unique_ptr<Runtime> runtime_;
  Scratch scratch_{*runtime_};
  MatrixUnits matrix_units_;
  AttentionPlanner planner_{*runtime_};
  bool is_in_run_ = false;
  const HostThreads host_threads_;
  Uploads uploads_{*runtime_};
  RowUploads row_uploads_{*runtime_};
  std::map<RunKey, Recording> recordings_;
  std::array<int, 2> num_graphs_ = {};  // of prompts, of rows that decode
};

bool CudaBackend::draw(const Linear& w, const RandomMatrix& matrix) {
  constexpr int64_t kRunElements = 8 << 20;
  if (w.format->encoding == Encoding::kCcq) {
    kernels::draw_ccq(stream(), w, matrix);
  } else {
    const int64_t run = std::max<int64_t>(kRunElements / w.in / kPackRows, 1) * kPackRows;
    for (int64_t first = 0; first < w.out; first += run) {
      const DeviceView rows = row_uploads_.room(DType::kBf16, {std::min(run, w.out - first), w.in});
      kernels::draw_rows(stream(), matrix, first, rows);
      kernels::pack_rows(stream(), w, rows, first);
    }
  }
  order_launches(stream());
  return true;
}

// The first time it is done as it comes, which is when memory grows that ops work in; the second
// time it is recorded, and from then on a graph.
void CudaBackend::run(const RunKey& key, const std::function<void()>& body) {
  if (key.tokens > kMostRecordedTokens) return call(body);
  const auto [found, is_new] = recordings_.try_emplace(key);
  if (is_new) return call(body);
  Recording& recording = found->second;
  if (recording.graph == nullptr) {
    int& num_graphs = num_graphs_[key.tokens == key.rows];
    if (num_graphs == kMostGraphs) return call(body);
    ++num_graphs;
    const OpCounters before = counters();
    recording.graph = runtime_->record([&] { call(body); });
    recording.work = counters() - before;
  } else {
    count(recording.work);
  }
  runtime_->run(*recording.graph);
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(int device, HostThreads host_threads) {
  return std::unique_ptr<Backend>(
      std::make_unique<CudaBackend>(TRY(Runtime::open(device)), std::move(host_threads)));
}

Result<std::unique_ptr<Backend>> make_cuda_rehearsal(int device) {
  const auto runtime = TRY(Runtime::open(device));
  return std::unique_ptr<Backend>(std::make_unique<CudaBackend>(
      std::make_unique<RehearsalRuntime>(runtime->facts(), 2 * kMostGraphs * kGraphBytes),
      HostThreads()));
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
