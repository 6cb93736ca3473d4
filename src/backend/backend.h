// backend: the interface between a model and a device. Coarse verbs with structs of arguments, no
// graph and no tensor algebra. Public ops are non-virtual: they check shapes at the door, once,
// count bytes and operations, then call the private virtual that cpu/ (and later cuda/) implements.
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
#include <utility>

#include "backend/kv_view.h"
#include "tensor/encoded_rows.h"
#include "tensor/tensor_view.h"
#include "tensor/weight_format.h"

namespace erne {

// Rows of a weight that a back end may want at a time.
constexpr int64_t kPackRows = 128;

// A position is exact as a float32, which the rotary angle is a product of.
constexpr int32_t kMaxPosition = 1 << 24;

// The largest block of ExpertsArgs::rotation.
constexpr int kMaxRotation = 4096;

enum class Space { kDevice, kPinnedHost };

// Move-only owner of a back end's memory; zeroed, aligned to 64 bytes.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(void* data, size_t bytes, std::function<void(void*)> free)
      : data_(data, std::move(free)), bytes_(bytes) {}
  void* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<void, std::function<void(void*)>> data_;
  size_t bytes_ = 0;
};

// y = W x. `data` says [out, in] and the stored type; the order of its bytes is the back end's own.
struct Linear {
  const WeightFormat* format = nullptr;
  int64_t out = 0, in = 0;
  TensorView data;
  LinearInput input = LinearInput::kAsGiven;
  // kInt8: the size of the largest activation, if the checkpoint says it: then all groups have its
  // scale, and what is larger counts as it. 0: each group has its own.
  float input_largest = 0;
  // Whether sums may be formed in the order of this machine's matrix unit, which others do not
  // have: equal bits on one machine, not between machines.
  bool unit_order = false;

  // In memory of Backend::packed_bytes.
  static Linear at(void* data, const WeightFormat& format, int64_t out, int64_t in) {
    return {&format, out, in, {data, format.stored, {out, in}}};
  }
};

struct MemoryInfo {
  size_t total_bytes = 0, available_bytes = 0;
};

// One sequence's rows in a step's ragged batch.
struct RaggedRow {
  int first_token;  // row in the step's token dimension
  int num_tokens;
  int first_position;  // tokens before them that have KV
  int first_block;     // into RaggedBatch::blocks; covers first_position + num_tokens positions
};
struct RaggedBatch {
  std::span<const RaggedRow> rows;
  std::span<const int32_t> blocks;  // block tables, concatenated
};

struct KvWriteArgs {
  TensorView qkv;  // [T, Q + 2K], K already rotated
  KvLayerView kv;
  std::span<const int32_t> slots;  // [T] block * block_tokens + offset; -1: do not store
};

struct AttentionArgs {
  TensorView qkv;  // [T, Q + 2K]: only the queries are read
  KvLayerView kv;  // holds the keys and values of every position up to each query's own
  const RaggedBatch* batch;
  TensorView out;  // [T, Q]
  float scale;     // 1 / sqrt(D)
};

// Symbols of a mixture: E experts, k of them for each token, I the width of one.
struct RouteArgs {
  TensorView logits;           // [T, E] float32
  TensorView correction_bias;  // [E] float32; no data: none
  TensorView experts;          // [T, k] int32, out: best first
  TensorView weights;          // [T, k] float32, out
  float norm_min;              // the least sum that weights are divided by
};

struct ExpertsArgs {
  TensorView x;                     // [T, H]
  TensorView experts;               // [T, k] int32, no expert twice in a row
  TensorView weights;               // [T, k] float32
  std::span<const Linear> gate_up;  // [E] of [2I, H]
  std::span<const Linear> down;     // [E] of [H, I]
  TensorView y;                     // [T, H]; not x
  bool add;                         // to what y holds
  // What goes into `down` is multiplied by H / sqrt(block), this many neighbours at a time; H is
  // Hadamard's matrix of that power of two. 0: nothing is.
  int rotation = 0;
};

// Work done since the last reset, for rooflines and the cost model.
struct OpCounters {
  int64_t bytes = 0;  // weights, KV and activations read and written, once each
  int64_t flops = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const char* name() const = 0;
  virtual DeviceBuffer allocate(size_t bytes, Space space) = 0;
  virtual MemoryInfo memory() const = 0;
  // body(i) for each i in [0, count), on host threads, in any order; returns when all are done. It
  // calls no ops.
  virtual void parallel_for(int64_t count, const std::function<void(int64_t)>& body) {
    for (int64_t i = 0; i < count; ++i) body(i);
  }

  // The order in which this back end's kernels read weights. Back ends that give it one name read
  // each other's bytes; whoever changes the order or the values in it changes the name.
  virtual const char* packed_order() const = 0;
  // Whether it has no products of these numbers, so that weights are turned into float32 on the
  // way: right, but slower than the format allows.
  virtual bool decodes(const WeightFormat&, LinearInput) const { return false; }
  virtual size_t packed_bytes(const WeightFormat& format, int64_t out, int64_t in) const = 0;
  // Writes rows [first_row, first_row + rows.shape[0]) of w, as loaded (row-major, bfloat16 or
  // float32), into w's memory. They begin at a multiple of kPackRows and end at one, or where w
  // does.
  void pack_rows(const Linear& w, const TensorView& rows, int64_t first_row);
  // Likewise rows that are encoded already, as w's format has them.
  void pack_rows(const Linear& w, const EncodedRows& rows, int64_t first_row);
  // A whole weight, into new memory.
  Linear pack(const TensorView& weight, const WeightFormat& format, DeviceBuffer& storage);

  // x[t] = row ids[t] of the table. `table` as packed for the head, so that a tied embedding exists
  // once.
  void embed(const Linear& table, std::span<const int32_t> ids, TensorView x);  // x [T, H]
  // y[t] = x[t] * rsqrt(mean(x[t]^2) + eps) * weight. y may be x.
  void rms_norm(TensorView x, TensorView weight, float eps, TensorView y);
  // x += h, then y = rms_norm(x). The sum is rounded to the activation type before it is normed.
  void add_rms_norm(TensorView x, TensorView h, TensorView weight, float eps, TensorView y);
  void linear(const Linear& w, TensorView x,
              TensorView y);  // y [T, out]; y may be float32 for logits
  // Rotates the first `heads + kv_heads` heads of each row of qkv in place, pairs (2i, 2i+1), by
  // positions[t] * inv_freq[i] computed as a float32 product. inv_freq: [D / 2] float32.
  void rope(TensorView qkv, std::span<const int32_t> positions, TensorView inv_freq, int heads,
            int kv_heads);
  void kv_write(const KvWriteArgs& args);
  void attention(const AttentionArgs& args);
  void silu_mul(TensorView gate_up, TensorView y);  // gate_up [T, 2I] (gate first), y [T, I]
  void add(TensorView x, TensorView h);             // x += h
  // p = softmax(logits); the k experts with the largest p + bias, the lower index where they are
  // equal; their p, divided by the sum of these, as weights (docs/ernie-models.md, 3).
  void route(const RouteArgs& args);
  // y (+)= sum over a token's experts of weight * down(silu_mul(gate_up(x))), in float32 from the
  // last product on.
  void experts(const ExpertsArgs& args);
  void gather(TensorView x, std::span<const int32_t> rows, TensorView y);  // y[r] = x[rows[r]]
  void copy_blocks(std::span<const KvLayerView> layers,
                   std::span<const std::pair<int32_t, int32_t>> copies);

  const OpCounters& counters() const { return counters_; }
  void reset_counters() { counters_ = {}; }

 private:
  // Arguments have passed the checks of the public op; T is not 0.
  virtual void do_pack_rows(const Linear& w, const TensorView& rows, int64_t first_row) = 0;
  virtual void do_pack_encoded(const Linear& w, const EncodedRows& rows, int64_t first_row) = 0;
  virtual void do_embed(const Linear& table, std::span<const int32_t> ids, TensorView x) = 0;
  virtual void do_rms_norm(TensorView x, TensorView weight, float eps, TensorView y) = 0;
  virtual void do_add_rms_norm(TensorView x, TensorView h, TensorView weight, float eps,
                               TensorView y) = 0;
  virtual void do_linear(const Linear& w, TensorView x, TensorView y) = 0;
  virtual void do_rope(TensorView qkv, std::span<const int32_t> positions, TensorView inv_freq,
                       int heads, int kv_heads) = 0;
  virtual void do_kv_write(const KvWriteArgs& args) = 0;
  virtual void do_attention(const AttentionArgs& args) = 0;
  virtual void do_silu_mul(TensorView gate_up, TensorView y) = 0;
  virtual void do_add(TensorView x, TensorView h) = 0;
  virtual void do_route(const RouteArgs& args) = 0;
  // Returns how many experts computed anything; at most min(E, T * k), which will do where a back
  // end does not know.
  virtual int64_t do_experts(const ExpertsArgs& args) = 0;
  virtual void do_gather(TensorView x, std::span<const int32_t> rows, TensorView y) = 0;
  virtual void do_copy_blocks(std::span<const KvLayerView> layers,
                              std::span<const std::pair<int32_t, int32_t>> copies) = 0;

  OpCounters counters_;
};

}  // namespace erne
