// backend: the interface between a model and a device. Coarse verbs with structs of arguments, no
// graph and no tensor algebra. Public ops are non-virtual: they check shapes at the door, once,
// count bytes and operations, then call the private virtual that cpu/ (and later cuda/) implements.
//
// Everything an op works on lies in the back end's own memory (device_memory.h): weights and inputs
// come in by upload(), results go out by download(), and a step's ids, positions, slots and block
// tables are staged before its first op (staged_step.h). Ops may run behind the caller's back, in
// the order in which they were called; download() and finish() wait for them. One thread at a time
// uses a back end.
//
// Shapes are written in symbols: T tokens of a step, H hidden, Q = heads x D, K = kv_heads x D,
// I feed-forward width, V vocabulary, R rows that want logits. A view's dtype is the activation
// type (float32 or bfloat16) unless said otherwise. An op's result for one token depends on that
// token's inputs and on (n, k) alone, never on T: the same request gives the same bits in any
// batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "backend/device_memory.h"
#include "backend/kv_view.h"
#include "backend/staged_step.h"
#include "base/check.h"
#include "tensor/encoded_rows.h"
#include "tensor/random_matrix.h"
#include "tensor/tensor_view.h"
#include "tensor/weight_format.h"

namespace erne {

// Rows of a weight that a back end may want at a time.
constexpr int64_t kPackRows = 128;

// The largest block of ExpertsArgs::rotation.
constexpr int kMaxRotation = 4096;

// y = W x. `data` says [out, in] and the stored type; the order of its bytes is the back end's own.
struct Linear {
  const WeightFormat* format = nullptr;
  int64_t out = 0, in = 0;
  DeviceView data;
  LinearInput input = LinearInput::kAsGiven;
  // kInt8: the size of the largest activation, if the checkpoint says it: then all groups have its
  // scale, and what is larger counts as it. 0: each group has its own.
  float input_largest = 0;
  // Whether sums may be formed in the order of this machine's matrix unit, which others do not
  // have: equal bits on one machine, not between machines.
  bool unit_order = false;

  // In memory of Backend::packed_bytes.
  static Linear at(DevicePointer data, const WeightFormat& format, int64_t out, int64_t in) {
    return {&format, out, in, {data, format.stored, {out, in}}};
  }
};

// The same matrix of every expert of a mixture, in one piece of memory: expert e's lies as a Linear
// at data + e * stride_bytes.
struct StackedLinear {
  const WeightFormat* format = nullptr;
  int64_t count = 0, out = 0, in = 0;
  DevicePointer data = {};
  int64_t stride_bytes = 0;
  LinearInput input = LinearInput::kAsGiven;
  DeviceView input_largest = {};  // [count] float32: Linear's, of each; no data: none has one
  bool unit_order = false;

  // Without its input_largest, which only the device knows.
  Linear linear(int64_t index) const;
};

struct MemoryInfo {
  size_t total_bytes = 0, available_bytes = 0;
};

struct KvWriteArgs {
  DeviceView qkv;  // [T, Q + 2K], K already rotated
  KvLayerView kv;
  StagedSlots slots;  // [T]
};

struct AttentionArgs {
  DeviceView qkv;  // [T, Q + 2K]: only the queries are read
  KvLayerView kv;  // holds the keys and values of every position up to each query's own
  const StagedBatch* batch;
  DeviceView out;  // [T, Q]
  float scale;     // 1 / sqrt(D)
};

// Symbols of a mixture: E experts, k of them for each token, I the width of one.
struct RouteArgs {
  DeviceView logits;           // [T, E] float32
  DeviceView correction_bias;  // [E] float32; no data: none
  DeviceView experts;          // [T, k] int32, out: best first
  DeviceView weights;          // [T, k] float32, out
  float norm_min;              // the least sum that weights are divided by
};

struct ExpertsArgs {
  DeviceView x;           // [T, H]
  DeviceView experts;     // [T, k] int32, no expert twice in a row
  DeviceView weights;     // [T, k] float32
  StackedLinear gate_up;  // E of [2I, H]
  StackedLinear down;     // E of [H, I]
  DeviceView y;           // [T, H]; not x
  bool add;               // to what y holds
  // What goes into `down` is multiplied by H / sqrt(block), this many neighbours at a time; H is
  // Hadamard's matrix of that power of two. 0: nothing is.
  int rotation = 0;
};

// Symbols: R rows, V tokens of the vocabulary and what pads it.
struct SampleArgs {
  DeviceView logits;   // [R, V] float32
  int64_t num_tokens;  // of the vocabulary, at most kMaxDrawTokens
  StagedDraws draws;   // [R]
  DeviceView tokens;   // [R] int32, out; -1 where a token of the vocabulary has a logit of NaN
};

// What shapes a back end can work on.
struct BackendLimits {
  int block_tokens_multiple = 1;  // of KvLayerView
  int head_dim_multiple = 1;      // likewise
};

// What a run() does: two runs of equal keys call the same ops on views of the same addresses and
// shapes. `what` is a literal of the caller's.
struct RunKey {
  const char* what;
  int64_t tokens, rows;
  int64_t drawn = 0;  // of the rows

  auto operator<=>(const RunKey&) const = default;
};

// Work done since the last reset, for rooflines and the cost model.
struct OpCounters {
  int64_t bytes = 0;  // weights, KV and activations read and written, once each
  int64_t flops = 0;

  OpCounters& operator+=(const OpCounters& more) {
    bytes += more.bytes;
    flops += more.flops;
    return *this;
  }
  OpCounters operator-(const OpCounters& before) const {
    return {bytes - before.bytes, flops - before.flops};
  }
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const char* name() const = 0;
  virtual BackendLimits limits() const { return {}; }
  virtual MemoryInfo memory() const = 0;
  // Memory of the device, zeroed.
  virtual DeviceBuffer allocate(size_t bytes) = 0;
  // Memory of the host that upload and download are fastest from and to, zeroed.
  virtual HostBuffer allocate_host(size_t bytes) = 0;

  // Copies host memory into the device's, of which `to` is as many bytes. `from` may be changed
  // once this returns.
  void upload(std::span<const std::byte> from, DeviceSpan to);
  // Waits for all ops so far and copies what they left.
  void download(DeviceSpan from, std::span<std::byte> to);
  // Ops, which wait for nothing: memory of the device goes out to the host, or comes back in. The
  // host's side is memory of allocate_host(); until finish() nobody else writes or frees it, nor
  // reads what is going out.
  void copy_out(DeviceSpan from, std::span<std::byte> to);
  void copy_in(std::span<const std::byte> from, DeviceSpan to);
  // Waits for all ops so far.
  virtual void finish() = 0;
  // Calls `body`, which calls ops. A device may record what it did and repeat that, without calling
  // it, when it is given an equal key again.
  virtual void run(const RunKey& key, const std::function<void()>& body);
  // body(i) for each i in [0, count), on host threads, in any order; returns when all are done. It
  // calls no ops.
  virtual void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

  // Whether device memory is host memory: then each is seen through the other's address, by these
  // two alone.
  virtual bool reads_host_memory() const = 0;
  // Host memory that ops may read, and that the caller keeps.
  DeviceSpan map_host(std::span<const std::byte> bytes);
  // Waits for all ops so far. Valid until an op writes there.
  std::span<std::byte> map_device(DeviceSpan bytes);

  // The order in which this back end's kernels read weights. Back ends that give it one name read
  // each other's bytes; whoever changes the order or the values in it changes the name.
  virtual const char* packed_order() const = 0;
  // Whether it has no products of these numbers, so that weights are decoded to float32 on the way:
  // right, but slower than the format allows.
  virtual bool is_decoded(const WeightFormat&, LinearInput) const { return false; }
  virtual size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const = 0;
  // Writes rows [first_row, first_row + rows.shape[0]) of w, as loaded (in host memory, row-major,
  // bfloat16 or float32), into w's memory. They begin at a multiple of kPackRows and end at one, or
  // where w does.
  void pack_rows(const Linear& w, const TensorView& rows, int64_t first_row);
  // Writes rows that are encoded already, in the codes of w's format.
  void pack_rows(const Linear& w, const EncodedRows& rows, int64_t first_row);
  // Writes all of w: what pack_rows() would make of such a matrix, or in wint2, which takes long to
  // encode, any numbers of that size. False: the back end draws none, and nothing is written.
  virtual bool draw(const Linear&, const RandomMatrix&) { return false; }
  // A whole weight, into new memory.
  Linear pack(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage);

  // x[t] = row ids[t] of the table. `table` as packed for the head, so that a tied embedding exists
  // once.
  void embed(const Linear& table, const StagedIndices& ids, const DeviceView& x);  // x [T, H]
  // y[t] = x[t] * rsqrt(mean(x[t]^2) + eps) * weight. y may be x.
  void rms_norm(const DeviceView& x, const DeviceView& weight, float eps, const DeviceView& y);
  // x += h, then y = rms_norm(x). The sum is rounded to the activation type before it is normed.
  void add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight, float eps,
                    const DeviceView& y);
  // y = W x, [T, out]; y may be float32 for logits.
  void linear(const Linear& w, const DeviceView& x, const DeviceView& y);
  // Rotates the first `heads + kv_heads` heads of each row of qkv in place, pairs (2i, 2i+1), by
  // positions[t] * inv_freq[i] computed as a float32 product. inv_freq: [D / 2] float32.
  void rope(const DeviceView& qkv, const StagedIndices& positions, const DeviceView& inv_freq,
            int heads, int kv_heads);
  void kv_write(const KvWriteArgs& args);
  // rope(), then kv_write(): in one pass where the back end has one.
  void rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                     const DeviceView& inv_freq);
  void attention(const AttentionArgs& args);
  // y = silu(gate) * up: gate_up [T, 2I], the gate first, y [T, I].
  void silu_mul(const DeviceView& gate_up, const DeviceView& y);
  void add(const DeviceView& x, const DeviceView& h);  // x += h
  // p = softmax(logits); the k experts with the largest p + bias, the lower index where they are
  // equal; their p, divided by the sum of these, as weights (docs/ernie-models.md, 3).
  void route(const RouteArgs& args);
  // y (+)= sum over a token's experts of weight * down(silu_mul(gate_up(x))), in float32 from the
  // last product on.
  void experts(const ExpertsArgs& args);
  // y[r] = x[rows[r]].
  void gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y);
  // Draws a token from each row (backend/token_draw.h). Only where the back end samples: others
  // leave it to the host.
  void sample(const SampleArgs& args);
  virtual bool samples() const { return false; }

  const OpCounters& counters() const { return counters_; }
  void reset_counters() { counters_ = {}; }

 protected:
  // That this many experts of a mixture computed anything, which only the device knows: at most
  // min(E, T * k), which will do where asking it would cost.
  void count_expert_weights(const ExpertsArgs& args, int64_t num_used);
  // Work of ops that are repeated without being called.
  void count(const OpCounters& repeated) { counters_ += repeated; }

 private:
  virtual void do_upload(std::span<const std::byte> from, DeviceSpan to) = 0;
  virtual void do_download(DeviceSpan from, std::span<std::byte> to) = 0;
  virtual void do_copy_out(DeviceSpan from, std::span<std::byte> to) = 0;
  virtual void do_copy_in(std::span<const std::byte> from, DeviceSpan to) = 0;
  // Arguments have passed the checks of the public op; T is not 0.
  virtual void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) = 0;
  virtual void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) = 0;
  virtual void do_embed(const Linear& table, const StagedIndices& ids, const DeviceView& x) = 0;
  virtual void do_rms_norm(const DeviceView& x, const DeviceView& weight, float eps,
                           const DeviceView& y) = 0;
  virtual void do_add_rms_norm(const DeviceView& x, const DeviceView& h, const DeviceView& weight,
                               float eps, const DeviceView& y) = 0;
  virtual void do_linear(const Linear& w, const DeviceView& x, const DeviceView& y) = 0;
  virtual void do_rope(const DeviceView& qkv, const StagedIndices& positions,
                       const DeviceView& inv_freq, int heads, int kv_heads) = 0;
  virtual void do_kv_write(const KvWriteArgs& args) = 0;
  virtual void do_rope_kv_write(const KvWriteArgs& args, const StagedIndices& positions,
                                const DeviceView& inv_freq, int heads);
  virtual void do_attention(const AttentionArgs& args) = 0;
  virtual void do_silu_mul(const DeviceView& gate_up, const DeviceView& y) = 0;
  virtual void do_add(const DeviceView& x, const DeviceView& h) = 0;
  virtual void do_route(const RouteArgs& args) = 0;
  // Calls count_expert_weights().
  virtual void do_experts(const ExpertsArgs& args) = 0;
  virtual void do_gather(const DeviceView& x, const StagedIndices& rows, const DeviceView& y) = 0;
  virtual void do_sample(const SampleArgs&) { CHECK(samples()); }

  // The checks and counts of these ops.
  void enter_rope(const DeviceView& qkv, const StagedIndices& positions, const DeviceView& inv_freq,
                  int heads, int kv_heads);
  void enter_kv_write(const KvWriteArgs& args);

  OpCounters counters_;
};

}  // namespace erne
