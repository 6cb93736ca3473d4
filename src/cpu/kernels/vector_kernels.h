// The kernels, written once for all vector instruction sets, in terms of cpu/lanes/lanes.h. A
// kernel file names its lanes, includes this and gives make_vector_kernels() out as its table, or
// make_pair_kernels(). Everything is internal to that file.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/arithmetic.h"
#include "cpu/kernels/decode_panels.h"
#include "cpu/kernels/fp8_row_linear.h"
#include "cpu/kernels/int8_row_linear.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/panel_tile.h"
#include "cpu/lanes/lane_parts.h"
#include "cpu/lanes/lanes.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

// exp_f32() of arithmetic.h, step by step.
ERNE_INLINE Floats exp(Floats x) {
  const Floats clamped = min_of(broadcast(kExpHigh), max_of(broadcast(kExpLow), x));
  const Floats shifted = fma(clamped, broadcast(kLog2E), broadcast(kRoundToInt));
  const Floats n = shifted - broadcast(kRoundToInt);
  const Floats r = fma(n, broadcast(-kLn2Low), fma(n, broadcast(-kLn2High), clamped));
  Floats p = broadcast(kExpSeries[0]);
#pragma GCC unroll 8
  for (int i = 1; i < 8; ++i) p = fma(p, r, broadcast(kExpSeries[i]));
  return zero_below(x, kExpLow, scale_by_power(p, shifted));
}

// ---- rows ----

template <class T>
void norm_typed(const NormTask& task) {
  const auto* weight = static_cast<const T*>(task.weight);
  for (int64_t row = 0; row < task.num_rows; ++row) {
    T* x = static_cast<T*>(task.x) + row * task.width;
    T* y = static_cast<T*>(task.y) + row * task.width;
    const T* h = task.h ? static_cast<const T*>(task.h) + row * task.width : nullptr;
    Floats squares = broadcast(0);
    for (int64_t i = 0; i < task.width; i += kLanes) {
      const int64_t count = task.width - i;
      Floats v = load_part(x + i, count);
      if (h != nullptr) {
        v = rounded<T>(v + load_part(h + i, count));
        store_part(x + i, v, count);
      }
      squares = fma(v, v, squares);
    }
    const float mean = combine(squares) / static_cast<float>(task.width);
    const Floats scale = broadcast(inverse_square_root(mean + task.eps));
    for (int64_t i = 0; i < task.width; i += kLanes) {
      const int64_t count = task.width - i;
      const Floats v = load_part(x + i, count) * scale;
      store_part(y + i, v * load_part(weight + i, count), count);
    }
  }
}

inline void norm(const NormTask& task) {
  task.type == DType::kBf16 ? norm_typed<Bf16>(task) : norm_typed<float>(task);
}

template <class T>
void silu_mul_typed(const T* gate_up, T* y, int64_t num_rows, int64_t width) {
  for (int64_t row = 0; row < num_rows; ++row, gate_up += 2 * width, y += width)
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = width - i;
      const Floats gate = load_part(gate_up + i, count);
      const Floats silu = gate / (broadcast(1) + exp(broadcast(-1) * gate));
      store_part(y + i, silu * load_part(gate_up + width + i, count), count);
    }
}

inline void silu_mul(DType type, const void* gate_up, void* y, int64_t num_rows, int64_t width) {
  if (type == DType::kBf16)
    silu_mul_typed(static_cast<const Bf16*>(gate_up), static_cast<Bf16*>(y), num_rows, width);
  else
    silu_mul_typed(static_cast<const float*>(gate_up), static_cast<float*>(y), num_rows, width);
}

template <class T>
void add_typed(T* x, const T* h, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_part(x + i, load_part(x + i, count - i) + load_part(h + i, count - i), count - i);
}

inline void add(DType type, void* x, const void* h, int64_t count) {
  if (type == DType::kBf16)
    add_typed(static_cast<Bf16*>(x), static_cast<const Bf16*>(h), count);
  else
    add_typed(static_cast<float*>(x), static_cast<const float*>(h), count);
}

template <class T>
void mix_typed(const MixTask& task) {
  T* y = static_cast<T*>(task.y);
  for (int64_t i = 0; i < task.width; i += kLanes) {
    const int64_t count = task.width - i;
    Floats sum = broadcast(0);
    for (int64_t j = 0; j < task.num_rows; ++j)
      sum = fma(broadcast(task.weights[j]),
                load_part(task.x + task.rows[j] * task.width + i, count), sum);
    store_part(y + i, task.add ? load_part(y + i, count) + sum : sum, count);
  }
}

inline void mix(const MixTask& task) {
  task.type == DType::kBf16 ? mix_typed<Bf16>(task) : mix_typed<float>(task);
}

template <class T>
void rope_typed(T* x, int64_t stride, int64_t num_rows, int num_heads, int head_dim,
                const float* cosines, const float* sines) {
  for (int64_t row = 0; row < num_rows; ++row, cosines += head_dim, sines += head_dim)
    for (int head = 0; head < num_heads; ++head) {
      T* at = x + row * stride + int64_t{head} * head_dim;
      for (int i = 0; i < head_dim; i += kLanes) {
        const int count = head_dim - i;
        const Floats v = load_part(at + i, count);
        const Floats turned = swap_pairs(v) * load_part(sines + i, count);
        store_part(at + i, fma(v, load_part(cosines + i, count), turned), count);
      }
    }
}

inline void rope(DType type, void* x, int64_t stride, int64_t num_rows, int num_heads, int head_dim,
                 const float* cosines, const float* sines) {
  if (type == DType::kBf16)
    rope_typed(static_cast<Bf16*>(x), stride, num_rows, num_heads, head_dim, cosines, sines);
  else
    rope_typed(static_cast<float*>(x), stride, num_rows, num_heads, head_dim, cosines, sines);
}

inline void widen(const Bf16* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_part(y + i, load_part(x + i, count - i), count - i);
}

// ---- linear ----

// How many panels are read side by side. Few rows wait for memory, and wait least for as many
// strands as a tile takes; many rows are worth keeping a length of k of several panels in the cache
// for.
inline int64_t num_strands(int64_t num_rows) {
  constexpr int64_t kFewRows = 16;
  return num_rows <= kFewRows ? panels_at_once(num_rows) : kLinearPanels;
}

// The task's panels are cut into as many strands of neighbours as num_strands() says, and the i-th
// panels of all strands are read together: so each goes on through memory from panel to panel.
template <class W, class X, class Y>
void linear_typed(const LinearTask& task, float* c) {
  constexpr int64_t kStride = kLinearPanels * kPanel;
  const OutputTile& y = task.y;
  const int64_t stride = panel_stride(task.weight_type, task.in);
  const int64_t count = y.end_panel - y.first_panel, strands = num_strands(y.num_rows);
  const int64_t length = (count + strands - 1) / strands;  // of a strand, in panels
  const RowSpan<const X> x{numbers_of<const X>(task.x), task.x.stride};
  for (int64_t i = 0; i < length; ++i) {
    const int64_t panels = (count - i + length - 1) / length;  // the last strand may be shorter
    const PanelSpan<W> w{static_cast<const W*>(task.weight) + (y.first_panel + i) * stride,
                         length * stride, kPrefetchBytes};
    for (int64_t k = 0; k < task.in; k += kChain)
      multiply(y.num_rows, w.from_row(k), panels, smaller(kChain, task.in - k), x.from_column(k),
               {c, kStride}, k == 0 ? TileMode::kStore : TileMode::kAdd);
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t first = (y.first_panel + i + p * length) * kPanel;
      for (int64_t row = 0; row < y.num_rows; ++row)
        store_part(static_cast<Y*>(y.y) + row * y.stride + first,
                   load(c + row * kStride + p * kPanel), y.out - first);
    }
  }
}

template <class W, class Y>
void linear_of_rows(const LinearTask& task, float* scratch) {
  if constexpr (kMultipliesPairs && sizeof(W) == 2)
    if (task.x.type == DType::kBf16) return linear_typed<W, Bf16, Y>(task, scratch);
  linear_typed<W, float, Y>(task, scratch);
}

inline void linear(const LinearTask& task, float* scratch) {
  const bool bf16_weight = task.weight_type == DType::kBf16;
  if (task.y.type == DType::kBf16)
    bf16_weight ? linear_of_rows<Bf16, Bf16>(task, scratch)
                : linear_of_rows<float, Bf16>(task, scratch);
  else
    bf16_weight ? linear_of_rows<Bf16, float>(task, scratch)
                : linear_of_rows<float, float>(task, scratch);
}

// ---- attention ----

// The rows' queries as X, q_stride apart: padded, or rows of 128 would fall into the same few sets
// of the cache.
template <class Q, class X>
void copy_queries(const AttentionTask& task, X* q, int64_t q_stride) {
  const int head_dim = task.kv->head_dim;
  for (int token = 0; token < task.num_tokens; ++token)
    for (int head = 0; head < task.heads; ++head, q += q_stride) {
      const Q* from =
          static_cast<const Q*>(task.q) + token * task.q_stride + int64_t{head} * head_dim;
      for (int d = 0; d < head_dim; d += kLanes) store(q + d, load(from + d));
    }
}

// What the products of a segment's rows with each key are multiplied by, and the probabilities in
// front of each value.
struct KeyFactors {
  float *score, *value;  // [kSegment]
};

// Sums q * k of the first `count` keys become probabilities, up to a common factor and rounded to
// P, times the factors of the values; those behind, up to `padded` (a multiple of 16), become 0.
// `out` may be where the sums are: it is written no further than they have been read.
template <class P, class X>
void softmax_row(float* p, int count, int padded, KeyFactors factors, X* out, float* max,
                 float* sum) {
  const Floats none = broadcast(-__builtin_inff());
  Floats highest = none;
  int j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    const Floats score = load(p + j) * load(factors.score + j);
    store(p + j, score);
    highest = max_of(highest, score);
  }
  if (j < count) {
    const Floats score = first_lanes(load(p + j) * load(factors.score + j), count - j, none);
    store(p + j, score);
    highest = max_of(highest, score);
  }
  const float highest_score = largest(highest);
  *max = highest_score;
  Floats total = broadcast(0);
  for (j = 0; j < count; j += kLanes) {
    const Floats value = rounded<P>(exp(load(p + j) - broadcast(highest_score)));
    store(out + j, value * load(factors.value + j));
    total = total + value;
  }
  for (; j < padded; j += kLanes) store(out + j, broadcast(0));
  *sum = combine(total);
}

// Keys [begin, begin + count) of one sequence and kv head, for all rows of a task.
template <class Kv>
struct SegmentOfKeys {
  const AttentionTask& task;
  int begin, count;

  const char* head(int block, bool value) const {
    return kv_head_data<char>(*task.kv, task.blocks[block], value, task.kv_head);
  }
  // Bytes from a block's keys or values to those that are read after them: of the next block, or
  // the first values after the last keys. A block is large enough for memory to bring the next one
  // while it is multiplied.
  int64_t ahead_of(int block, bool value) const {
    const int first = begin / task.kv->block_tokens;
    const int last = (begin + count - 1) / task.kv->block_tokens;
    if (block == last && value) return kPrefetchBytes;
    const char* next = block == last ? head(first, true) : head(block + 1, value);
    return next - head(block, value);
  }

  // body(index of a block in the sequence, first token in it, keys there, index of the first key in
  // the segment).
  template <class Body>
  void for_blocks(const Body& body) const {
    const int block_tokens = task.kv->block_tokens;
    for (int j = 0; j < count;) {
      const int token = (begin + j) % block_tokens;
      const int keys = static_cast<int>(smaller(block_tokens - token, count - j));
      body((begin + j) / block_tokens, token, keys, j);
      j += keys;
    }
  }

  void fill_factors(const KeyFactors& factors) const {
    const Floats scale = broadcast(task.scale);
    for (int j = 0; j < count; j += kLanes) {
      store(factors.score + j, scale);
      store(factors.value + j, broadcast(1));
    }
    if constexpr (sizeof(Kv) == 1)
      for_blocks([&](int block, int token, int keys, int j) {
        const float* of_keys = kv_scales(*task.kv, task.blocks[block], false, task.kv_head) + token;
        const float* of_values =
            kv_scales(*task.kv, task.blocks[block], true, task.kv_head) + token;
        for (int i = 0; i < keys; i += kLanes) {
          store(factors.score + j + i, load(of_keys + i) * scale);
          store(factors.value + j + i, load(of_values + i));
        }
      });
  }

  // scores [rows, kSegment], not yet scaled
  template <class X>
  void multiply_keys(int64_t rows, RowSpan<const X> q, RowSpan<float> scores) const {
    const int64_t head_dim = task.kv->head_dim;
    for_blocks([&](int block, int token, int keys, int j) {
      const PanelSpan<Kv> panels{key_panel<Kv>(*task.kv, task.blocks[block], task.kv_head, token),
                                 panel_stride(task.kv->dtype, head_dim), ahead_of(block, false)};
      for (int64_t d = 0; d < head_dim; d += kChain)
        multiply(rows, panels.from_row(d), num_panels(keys), smaller(kChain, head_dim - d),
                 q.from_column(d), scores.from_column(j),
                 d == 0 ? TileMode::kStore : TileMode::kAdd);
    });
  }

  // out [rows, head_dim]
  template <class X>
  void multiply_values(int64_t rows, RowSpan<const X> p, RowSpan<float> out) const {
    const int64_t head_dim = task.kv->head_dim;
    for_blocks([&](int block, int token, int keys, int j) {
      const PanelSpan<Kv> panels{value_panel<Kv>(*task.kv, task.blocks[block], task.kv_head, 0),
                                 panel_stride(task.kv->dtype, task.kv->block_tokens),
                                 ahead_of(block, true)};
      multiply(rows, panels.from_row(token), head_dim / kPanel, keys, p.from_column(j), out,
               j == 0 ? TileMode::kStore : TileMode::kContinue);
    });
  }
};

// Keys and values Kv, queries and probabilities multiplied as X, probabilities rounded to P.
template <class Kv, class P, class X>
void attention_segment_typed(const AttentionTask& task, int segment, const AttentionSums& sums,
                             float* scratch) {
  const int64_t rows = int64_t{task.num_tokens} * task.heads, head_dim = task.kv->head_dim;
  const int64_t q_stride = head_dim + kLanes;
  constexpr int64_t kProbabilityStride = kSegment * sizeof(float) / sizeof(X);
  float* const scores = scratch + rows * q_stride;
  auto *q = reinterpret_cast<X*>(scratch), *p = reinterpret_cast<X*>(scores);
  const KeyFactors factors{scores + rows * kSegment, scores + (rows + 1) * kSegment};
  task.q_type == DType::kBf16 ? copy_queries<Bf16>(task, q, q_stride)
                              : copy_queries<float>(task, q, q_stride);
  const int begin = segment * kSegment;
  const int past_last = task.first_position + task.num_tokens;
  const SegmentOfKeys<Kv> keys{task, begin, static_cast<int>(smaller(kSegment, past_last - begin))};
  keys.fill_factors(factors);
  keys.multiply_keys(rows, RowSpan<const X>{q, q_stride}, {scores, kSegment});
  const int padded = (keys.count + kLanes - 1) / kLanes * kLanes;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t visible = task.first_position + row / task.heads + 1 - begin;
    const auto count = static_cast<int>(smaller(visible < 0 ? 0 : visible, keys.count));
    softmax_row<P>(scores + row * kSegment, count, padded, factors, p + row * kProbabilityStride,
                   &sums.max[row], &sums.sum[row]);
  }
  keys.multiply_values(rows, RowSpan<const X>{p, kProbabilityStride}, {sums.out, head_dim});
}

inline void attention_segment(const AttentionTask& task, int segment, const AttentionSums& sums,
                              float* scratch) {
  typedef std::conditional_t<kMultipliesPairs, Bf16, float> BfloatRow;
  if (task.kv->dtype == DType::kI8)
    attention_segment_typed<int8_t, float, float>(task, segment, sums, scratch);
  else if (task.kv->dtype == DType::kFp8)
    attention_segment_typed<Fp8, float, float>(task, segment, sums, scratch);
  else if (task.kv->dtype == DType::kF32)
    attention_segment_typed<float, float, float>(task, segment, sums, scratch);
  else if (task.q_type == DType::kF32)
    attention_segment_typed<Bf16, float, float>(task, segment, sums, scratch);
  else
    attention_segment_typed<Bf16, Bf16, BfloatRow>(task, segment, sums, scratch);
}

inline void attention_merge(const AttentionSums& into, const AttentionSums& from, int64_t num_rows,
                            int64_t head_dim) {
  for (int64_t row = 0; row < num_rows; ++row) {
    if (from.sum[row] == 0) continue;
    const float max = into.max[row] > from.max[row] ? into.max[row] : from.max[row];
    const Floats a = exp(broadcast(into.max[row] - max)), b = exp(broadcast(from.max[row] - max));
    const Floats sum = fma(broadcast(from.sum[row]), b, broadcast(into.sum[row]) * a);
    into.max[row] = max;
    store_part(&into.sum[row], sum, 1);
    float* out = into.out + row * head_dim;
    for (int64_t d = 0; d < head_dim; d += kLanes)
      store(out + d, fma(load(from.out + row * head_dim + d), b, load(out + d) * a));
  }
}

template <class T>
void attention_finish_typed(const AttentionSums& sums, const AttentionTask& task) {
  const int head_dim = task.kv->head_dim;
  for (int row = 0; row < task.num_tokens * task.heads; ++row) {
    const int token = row / task.heads, head = row % task.heads;
    T* y = static_cast<T*>(task.y) + token * task.y_stride + int64_t{head} * head_dim;
    const float* out = sums.out + int64_t{row} * head_dim;
    for (int d = 0; d < head_dim; d += kLanes)
      store(y + d, load(out + d) / broadcast(sums.sum[row]));
  }
}

inline void attention_finish(const AttentionSums& sums, const AttentionTask& task) {
  task.q_type == DType::kBf16 ? attention_finish_typed<Bf16>(sums, task)
                              : attention_finish_typed<float>(sums, task);
}

template <bool pairs = kMultipliesPairs>
  requires(!pairs)
constexpr Kernels make_vector_kernels() {
  Kernels kernels = {
      .multiplies_pairs = false,
      .linear = linear,
      .tile_linear = nullptr,
      .to_int8_rows = to_int8_rows,
      .to_fp8_rows = to_fp8_rows,
      .encodings = {},
      .norm = norm,
      .silu_mul = silu_mul,
      .add = add,
      .mix = mix,
      .rope = rope,
      .widen = widen,
      .attention_segment = attention_segment,
      .attention_merge = attention_merge,
      .attention_finish = attention_finish,
  };
  kernels.encodings[static_cast<int>(Encoding::kSymmetricInt)] = {
      .int8_row_linear = int8_row_linear,
      .fp8_row_linear = fp8_row_linear_integers,
      .decode = decode_integers,
  };
  kernels.encodings[static_cast<int>(Encoding::kBlockFp8)] = {
      .fp8_row_linear = fp8_row_linear_fp8,
      .decode = decode_fp8,
  };
  kernels.encodings[static_cast<int>(Encoding::kCcq)] = {
      .decode = decode_ccq<float>,
  };
  return kernels;
}

// The table of a machine whose vectors multiply pairs of bfloat16, too: what needs no pairs is
// `others`' own, so that it is compiled once.
template <const Kernels& (*others)(), bool pairs = kMultipliesPairs>
  requires(pairs)
Kernels make_pair_kernels() {
  Kernels kernels = others();
  kernels.multiplies_pairs = true;
  kernels.linear = linear;
  kernels.to_fp8_rows = to_fp8_rows;
  kernels.attention_segment = attention_segment;
  EncodingKernels* of = kernels.encodings;
  of[static_cast<int>(Encoding::kSymmetricInt)].fp8_row_linear = fp8_row_linear_integers;
  of[static_cast<int>(Encoding::kBlockFp8)].fp8_row_linear = fp8_row_linear_fp8;
  of[static_cast<int>(Encoding::kCcq)].decode_pairs = decode_ccq<Bf16>;
  return kernels;
}

}  // namespace
}  // namespace erne::cpu
