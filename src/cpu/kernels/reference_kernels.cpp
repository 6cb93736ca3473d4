// The arithmetic of arithmetic.h in plain loops, for any x86-64: what the other kernel files must
// equal bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/arithmetic.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/reference_encoded_linear.h"
#include "cpu/packing/panels.h"

namespace erne::cpu {
namespace {

// The order in which a chain takes [begin, end): pairs ascending, of each the second first.
template <class Body>
void for_pairs(int64_t begin, int64_t end, const Body& body) {
  for (int64_t k = begin; k < end; k += 2) {
    if (k + 1 < end) body(k + 1);
    body(k);
  }
}

// sum over k in [begin, end) of x[k] * panel[k, column].
template <class T>
float chain(const T* panel, int64_t column, const float* x, int64_t begin, int64_t end) {
  float sum = 0;
  for_pairs(begin, end, [&](int64_t k) {
    sum = std::fma(x[k], to_float(panel[panel_offset<T>(k, column)]), sum);
  });
  return sum;
}

// A sum over k, of chains ascending.
template <class T>
float dot_of_chains(const T* panel, int64_t column, const float* x, int64_t k) {
  float total = chain(panel, column, x, 0, std::min<int64_t>(kChain, k));
  for (int64_t begin = kChain; begin < k; begin += kChain)
    total += chain(panel, column, x, begin, std::min(begin + kChain, k));
  return total;
}

template <class W, class Y>
void linear_typed(const LinearTask& task) {
  const auto* weight = static_cast<const W*>(task.weight);
  const int64_t stride = panel_stride(task.weight_type, task.in);
  const int64_t end = std::min(task.y.end_panel * kPanel, task.y.out);
  for (int64_t row = 0; row < task.y.num_rows; ++row) {
    auto* y = static_cast<Y*>(task.y.y) + row * task.y.stride;
    const float* x = numbers_of<const float>(task.x) + row * task.x.stride;
    for (int64_t n = task.y.first_panel * kPanel; n < end; ++n)
      y[n] = from_float<Y>(dot_of_chains(weight + n / kPanel * stride, n % kPanel, x, task.in));
  }
}

void linear(const LinearTask& task, float*) {
  const bool bf16_weight = task.weight_type == DType::kBf16;
  if (task.y.type == DType::kBf16)
    bf16_weight ? linear_typed<Bf16, Bf16>(task) : linear_typed<float, Bf16>(task);
  else
    bf16_weight ? linear_typed<Bf16, float>(task) : linear_typed<float, float>(task);
}

template <class T>
void norm_typed(const NormTask& task) {
  const auto* weight = static_cast<const T*>(task.weight);
  for (int64_t row = 0; row < task.num_rows; ++row) {
    T* x = static_cast<T*>(task.x) + row * task.width;
    T* y = static_cast<T*>(task.y) + row * task.width;
    if (task.h != nullptr) {
      const T* h = static_cast<const T*>(task.h) + row * task.width;
      for (int64_t i = 0; i < task.width; ++i)
        x[i] = from_float<T>(to_float(x[i]) + to_float(h[i]));
    }
    float squares[kLanes] = {};
    for (int64_t i = 0; i < task.width; ++i) {
      const float v = to_float(x[i]);
      squares[i % kLanes] = std::fma(v, v, squares[i % kLanes]);
    }
    const float mean = combine_lanes(squares) / static_cast<float>(task.width);
    const float scale = 1.0f / std::sqrt(mean + task.eps);
    for (int64_t i = 0; i < task.width; ++i)
      y[i] = from_float<T>(to_float(x[i]) * scale * to_float(weight[i]));
  }
}

void norm(const NormTask& task) {
  task.type == DType::kBf16 ? norm_typed<Bf16>(task) : norm_typed<float>(task);
}

template <class T>
void silu_mul_typed(const T* gate_up, T* y, int64_t num_rows, int64_t width) {
  for (int64_t row = 0; row < num_rows; ++row, gate_up += 2 * width, y += width)
    for (int64_t i = 0; i < width; ++i) {
      const float gate = to_float(gate_up[i]);
      const float silu = gate / (1.0f + exp_f32(-gate));
      y[i] = from_float<T>(silu * to_float(gate_up[width + i]));
    }
}

void silu_mul(DType type, const void* gate_up, void* y, int64_t num_rows, int64_t width) {
  if (type == DType::kBf16)
    silu_mul_typed(static_cast<const Bf16*>(gate_up), static_cast<Bf16*>(y), num_rows, width);
  else
    silu_mul_typed(static_cast<const float*>(gate_up), static_cast<float*>(y), num_rows, width);
}

template <class T>
void add_typed(T* x, const T* h, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = from_float<T>(to_float(x[i]) + to_float(h[i]));
}

void add(DType type, void* x, const void* h, int64_t count) {
  if (type == DType::kBf16)
    add_typed(static_cast<Bf16*>(x), static_cast<const Bf16*>(h), count);
  else
    add_typed(static_cast<float*>(x), static_cast<const float*>(h), count);
}

template <class T>
void mix_typed(const MixTask& task) {
  T* y = static_cast<T*>(task.y);
  for (int64_t i = 0; i < task.width; ++i) {
    float sum = 0;
    for (int64_t j = 0; j < task.num_rows; ++j)
      sum = std::fma(task.weights[j], task.x[task.rows[j] * task.width + i], sum);
    y[i] = from_float<T>(task.add ? to_float(y[i]) + sum : sum);
  }
}

void mix(const MixTask& task) {
  task.type == DType::kBf16 ? mix_typed<Bf16>(task) : mix_typed<float>(task);
}

template <class T>
void rope_typed(T* x, int64_t stride, int64_t num_rows, int num_heads, int head_dim,
                const float* cosines, const float* sines) {
  for (int64_t row = 0; row < num_rows; ++row, cosines += head_dim, sines += head_dim)
    for (int head = 0; head < num_heads; ++head) {
      T* pair = x + row * stride + head * head_dim;
      for (int i = 0; i < head_dim; i += 2, pair += 2) {
        const float a = to_float(pair[0]), b = to_float(pair[1]);
        pair[0] = from_float<T>(std::fma(a, cosines[i], b * sines[i]));
        pair[1] = from_float<T>(std::fma(b, cosines[i + 1], a * sines[i + 1]));
      }
    }
}

void rope(DType type, void* x, int64_t stride, int64_t num_rows, int num_heads, int head_dim,
          const float* cosines, const float* sines) {
  if (type == DType::kBf16)
    rope_typed(static_cast<Bf16*>(x), stride, num_rows, num_heads, head_dim, cosines, sines);
  else
    rope_typed(static_cast<float*>(x), stride, num_rows, num_heads, head_dim, cosines, sines);
}

void widen(const Bf16* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = to_float(x[i]);
}

template <class Kv>
struct Segment {
  const AttentionTask& task;
  int begin, end;  // positions

  bool rounds_probabilities() const { return task.q_type == DType::kBf16 && sizeof(Kv) == 2; }
  int32_t block_of(int position) const { return task.blocks[position / task.kv->block_tokens]; }
  float score(const float* q, int position) const {
    const int token = position % task.kv->block_tokens;
    const Kv* panel = key_panel<Kv>(*task.kv, block_of(position), task.kv_head, token);
    return dot_of_chains(panel, token % kPanel, q, task.kv->head_dim) *
           (scale_of(position, false) * task.scale);
  }
  // What a stored element stands for, per unit.
  float scale_of(int position, bool value) const {
    if constexpr (sizeof(Kv) > 1) return 1;
    const int token = position % task.kv->block_tokens;
    return kv_scales(*task.kv, block_of(position), value, task.kv_head)[token];
  }
  float value(int position, int d) const {
    const int token = position % task.kv->block_tokens;
    const Kv* panel = value_panel<Kv>(*task.kv, block_of(position), task.kv_head, d);
    return to_float(panel[panel_offset<Kv>(token, d % kPanel)]);
  }
};

// One query row over the keys of one segment.
template <class Kv>
void attend(const Segment<Kv>& segment, const float* q, float* max, float* sum, float* out) {
  float p[kSegment];
  const int count = segment.end - segment.begin;
  *max = -std::numeric_limits<float>::infinity();
  for (int j = 0; j < count; ++j) {
    p[j] = segment.score(q, segment.begin + j);
    *max = max_of(*max, p[j]);
  }
  float lanes[kLanes] = {};
  for (int j = 0; j < count; ++j) {
    p[j] = exp_f32(p[j] - *max);
    if (segment.rounds_probabilities()) p[j] = to_float(to_bf16(p[j]));
    lanes[j % kLanes] += p[j];
    p[j] *= segment.scale_of(segment.begin + j, true);
  }
  *sum = combine_lanes(lanes);
  for (int d = 0; d < segment.task.kv->head_dim; ++d) {
    out[d] = 0;
    for_pairs(0, count, [&](int64_t j) {
      out[d] = std::fma(p[j], segment.value(segment.begin + static_cast<int>(j), d), out[d]);
    });
  }
}

template <class Kv>
void attention_segment_typed(const AttentionTask& task, int index, const AttentionSums& sums,
                             float* q) {
  const int head_dim = task.kv->head_dim;
  for (int row = 0; row < task.num_tokens * task.heads; ++row) {
    const int token = row / task.heads;
    const int64_t first = token * task.q_stride + int64_t{row % task.heads} * head_dim;
    for (int d = 0; d < head_dim; ++d)
      q[d] = task.q_type == DType::kBf16 ? to_float(static_cast<const Bf16*>(task.q)[first + d])
                                         : static_cast<const float*>(task.q)[first + d];
    const int begin = index * kSegment;
    const int end = std::min(begin + kSegment, task.first_position + token + 1);
    attend(Segment<Kv>{task, begin, std::max(begin, end)}, q, &sums.max[row], &sums.sum[row],
           sums.out + int64_t{row} * head_dim);
  }
}

void attention_segment(const AttentionTask& task, int segment, const AttentionSums& sums,
                       float* scratch) {
  if (task.kv->dtype == DType::kI8)
    attention_segment_typed<int8_t>(task, segment, sums, scratch);
  else if (task.kv->dtype == DType::kFp8)
    attention_segment_typed<Fp8>(task, segment, sums, scratch);
  else if (task.kv->dtype == DType::kBf16)
    attention_segment_typed<Bf16>(task, segment, sums, scratch);
  else
    attention_segment_typed<float>(task, segment, sums, scratch);
}

void attention_merge(const AttentionSums& into, const AttentionSums& from, int64_t num_rows,
                     int64_t head_dim) {
  for (int64_t row = 0; row < num_rows; ++row) {
    if (from.sum[row] == 0) continue;
    const float max = max_of(into.max[row], from.max[row]);
    const float a = exp_f32(into.max[row] - max), b = exp_f32(from.max[row] - max);
    into.max[row] = max;
    into.sum[row] = std::fma(from.sum[row], b, into.sum[row] * a);
    float* out = into.out + row * head_dim;
    for (int64_t d = 0; d < head_dim; ++d)
      out[d] = std::fma(from.out[row * head_dim + d], b, out[d] * a);
  }
}

template <class T>
void attention_finish_typed(const AttentionSums& sums, const AttentionTask& task) {
  const int head_dim = task.kv->head_dim;
  for (int row = 0; row < task.num_tokens * task.heads; ++row) {
    const int token = row / task.heads, head = row % task.heads;
    T* y = static_cast<T*>(task.y) + token * task.y_stride + int64_t{head} * head_dim;
    const float* out = sums.out + int64_t{row} * head_dim;
    for (int d = 0; d < head_dim; ++d) y[d] = from_float<T>(out[d] / sums.sum[row]);
  }
}

void attention_finish(const AttentionSums& sums, const AttentionTask& task) {
  task.q_type == DType::kBf16 ? attention_finish_typed<Bf16>(sums, task)
                              : attention_finish_typed<float>(sums, task);
}

}  // namespace

const Kernels& reference_kernels() {
  static constexpr Kernels kKernels = [] {
    Kernels kernels = {
        .multiplies_pairs = false,
        .linear = linear,
        .tile_linear = nullptr,
        .to_int8_rows = reference_to_int8_rows,
        .to_fp8_rows = reference_to_fp8_rows,
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
        .int8_row_linear = reference_int8_row_linear,
        .fp8_row_linear = reference_fp8_row_linear_integers,
    };
    kernels.encodings[static_cast<int>(Encoding::kBlockFp8)] = {
        .fp8_row_linear = reference_fp8_row_linear_fp8,
    };
    return kernels;
  }();
  return kKernels;
}

}  // namespace erne::cpu
