// Attention in float32: for float32 queries, keys or values, and for sizes of heads that no kernel
// for matrix units is made for.
#include "cuda/kernels/attention_kernels.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Of one query: the largest score, and the sum of exp(score - largest).
struct SoftmaxSums {
  float max = -kInfinity, sum = 0;
};

// A block for each token and head; a thread
// for each key of a segment, and then for each component of the values.
template <class T, class Kv>
struct PlainAttention {
  static constexpr int kThreads = kKvSegment;
  static constexpr int kWarps = kThreads / kWarp;

  AttentionRows batch;
  KvMemory kv;
  Global<T> qkv, out;
  int64_t qkv_width, q_width;
  int group;  // heads of queries for each of keys
  float scale;

  // Offsets in floats. Sums over values: of a segment, of a section, of all.
  ON_DEVICE int weights_at() const { return kv.places.head_dim; }
  ON_DEVICE int warps_at() const { return weights_at() + kKvSegment; }
  ON_DEVICE int sums_at() const { return warps_at() + 2 * kWarps; }
  size_t shared_bytes() const {
    return (size_t{4} * kv.places.head_dim + kKvSegment + 2 * kWarps) * sizeof(float);
  }

  ON_DEVICE void run() const {
    const Shared<float> shared = shared_memory().as<float>();
    const int token = block_x() / heads(), head = block_x() % heads();
    const RaggedRow row = batch.row_of(token);
    const int keys = row.first_position + token - row.first_token + 1;
    load_query(token, head, shared);
    const Shared<float> sums = shared + sums_at();
    const int dim = kv.places.head_dim;
    SoftmaxSums section, all;
    for (int first = 0; first < keys; first += kKvSegment) {
      if (first % kKvSection == 0) clear(section, sums + dim);
      const int count = keys - first < kKvSegment ? keys - first : kKvSegment;
      const SoftmaxSums segment = add_segment(row, head / group, first, count, shared);
      merge(section, sums + dim, segment, sums);
      if (first + kKvSegment < keys && (first + kKvSegment) % kKvSection != 0) continue;
      if (first < kKvSection) clear(all, sums + 2 * dim);
      merge(all, sums + 2 * dim, section, sums + dim);
    }
    for (int d = thread_index(); d < dim; d += kThreads) {
      float value = sums[2 * dim + d];
      if (kv.value_largest)
        value *= divide(kv.value_largest[head / group * dim + d], kLargestKv<Kv>);
      out.set(token * q_width + head * dim + d, from_float<T>(divide(value, all.sum)));
    }
  }

  // Sums over values that belong to `into` and to `from`; each is a thread's own.
  ON_DEVICE void merge(SoftmaxSums& into, Shared<float> values, const SoftmaxSums& from,
                       Shared<float> from_values) const {
    const MergeFactors by = merge_factors(into.max, from.max);
    into.max = by.max;
    into.sum = fma(from.sum, by.of_from, into.sum * by.of_into);
    for (int d = thread_index(); d < kv.places.head_dim; d += kThreads)
      values.set(d, fma(from_values[d], by.of_from, values[d] * by.of_into));
  }
  ON_DEVICE void clear(SoftmaxSums& sums, Shared<float> values) const {
    sums = {};
    for (int d = thread_index(); d < kv.places.head_dim; d += kThreads) values.set(d, 0);
  }

  ON_DEVICE int heads() const { return group * kv.places.kv_heads; }

  ON_DEVICE void load_query(int token, int head, Shared<float> query) const {
    const int dim = kv.places.head_dim;
    for (int d = thread_index(); d < dim; d += kThreads) {
      float q = to_float(qkv[token * qkv_width + head * dim + d]);
      if (kv.key_largest) {
        const float size = kv.key_largest[head / group * dim + d];
        q = to_float(from_float<T>(q * divide(size, kLargestKv<Kv>)));
      }
      query.set(d, q);
    }
    sync_block();
  }

  // Keys [first, first + count) of a segment; the sums over values go to the first of the three.
  ON_DEVICE SoftmaxSums add_segment(const RaggedRow& row, int kv_head, int first, int count,
                                    Shared<float> shared) const {
    const int token = thread_index();
    const Shared<float> weights = shared + weights_at(), warps = shared + warps_at();
    const float score = token < count
                            ? score_of(batch.block_of(row, first + token, kv.places), kv_head,
                                       (first + token) % kv.places.block_tokens, shared)
                            : -kInfinity;
    SoftmaxSums sums;
    const float warp_largest = warp_max(score);
    if (lane() == 0) warps.set(warp(), warp_largest);
    sync_block();
    sums.max = warps[0];
    for (int w = 1; w < kWarps; ++w) sums.max = larger(sums.max, warps[w]);
    const float p = token < count ? exp_f32(score - sums.max) : 0;
    const float warp_total = warp_sum(p);
    if (lane() == 0) warps.set(kWarps + warp(), warp_total);
    weights.set(token, p);
    sync_block();
    sums.sum = warps[kWarps];
    for (int w = 1; w < kWarps; ++w) sums.sum += warps[kWarps + w];
    add_values(row, kv_head, first, count, shared);
    sync_block();
    return sums;
  }

  ON_DEVICE float score_of(int block, int kv_head, int token, Shared<float> query) const {
    const Global<std::byte> head = kv.head(block, false, kv_head);
    float sum = 0;
    for (int d = 0; d < kv.places.head_dim; ++d)
      sum = fma(query[d], kv_to_float(head.as<Kv>()[kv.places.key_at(token, d)]), sum);
    if constexpr (sizeof(Kv) == 1) return kv.scales(head)[token] * scale * sum;
    return scale * sum;
  }

  ON_DEVICE void add_values(const RaggedRow& row, int kv_head, int first, int count,
                            Shared<float> shared) const {
    const Shared<float> weights = shared + weights_at();
    for (int d = thread_index(); d < kv.places.head_dim; d += kThreads) {
      float sum = 0;
      for (int i = 0; i < count; ++i) {
        const Global<std::byte> head =
            kv.head(batch.block_of(row, first + i, kv.places), true, kv_head);
        const int token = (first + i) % kv.places.block_tokens;
        float p = weights[i];
        if constexpr (sizeof(Kv) == 1) p *= kv.scales(head)[token];
        sum = fma(p, kv_to_float(head.as<Kv>()[kv.places.value_at(token, d)]), sum);
      }
      shared.set(sums_at() + d, sum);
    }
  }
};

}  // namespace

void plain_attention(Stream& stream, const AttentionArgs& args) {
  with_activation(args.qkv.dtype, [&]<class T>() {
    with_kv(args.kv.dtype, [&]<class Kv>() {
      const int64_t heads = args.out.shape[1] / args.kv.head_dim;
      launch(
          stream, {args.out.shape[0] * heads},
          PlainAttention<T, Kv>{AttentionRows(*args.batch), KvMemory(args.kv), global<T>(args.qkv),
                                global<T>(args.out), args.qkv.shape[1], args.out.shape[1],
                                static_cast<int>(heads / args.kv.kv_heads), args.scale});
    });
  });
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
