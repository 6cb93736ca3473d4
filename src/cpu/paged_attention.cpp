#include "cpu/paged_attention.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "cpu/arithmetic.h"
#include "cpu/machine/host_view.h"
#include "cpu/machine/row_tasks.h"

namespace erne::cpu {
namespace {

int64_t num_rows(const AttentionTask& task) {
  return int64_t{task.num_tokens} * task.heads;
}

int num_segments(const AttentionTask& task) {
  return (task.first_position + task.num_tokens - 1) / kSegment + 1;
}

std::span<const RaggedRow> rows_of(const StagedBatch& batch) {
  return {DeviceAccess::pointer<const RaggedRow>(batch.rows.data),
          static_cast<size_t>(batch.num_rows())};
}

// Memory of an AttentionSums, aligned to a cache line.
int64_t sums_floats(const AttentionTask& task) {
  return (num_rows(task) * (task.kv->head_dim + 2) + 15) / 16 * 16;
}

AttentionSums sums_at(float* memory, const AttentionTask& task) {
  float* out = memory;
  float* max = out + num_rows(task) * task.kv->head_dim;
  return {.max = max, .sum = max + num_rows(task), .out = out};
}

AttentionSums no_sums_at(float* memory, const AttentionTask& task) {
  const AttentionSums sums = sums_at(memory, task);
  std::fill_n(sums.max, num_rows(task), -std::numeric_limits<float>::infinity());
  std::fill_n(sums.sum, num_rows(task), 0.0f);
  std::fill_n(sums.out, num_rows(task) * task.kv->head_dim, 0.0f);
  return sums;
}

// All heads of one token.
template <class T>
void scale_query(const AttentionArgs& args, const T* q, T* scaled) {
  const KvLayerView& kv = args.kv;
  const auto* largest = DeviceAccess::pointer<const float>(kv.key_largest);
  const float limit = largest_kv_number(kv.dtype);
  const int64_t head_width = args.out.shape[1] / kv.kv_heads;  // of the queries of one kv head
  for (int64_t i = 0; i < args.out.shape[1]; ++i) {
    const int64_t component = i / head_width * kv.head_dim + i % kv.head_dim;
    scaled[i] = from_float<T>(to_float(q[i]) * (largest[component] / limit));
  }
}

// Sums of values by the scales of their components, where they have such.
void scale_values(const AttentionSums& sums, const AttentionTask& task) {
  const KvLayerView& kv = *task.kv;
  if (!kv.value_largest) return;
  const auto* largest =
      DeviceAccess::pointer<const float>(kv.value_largest) + int64_t{task.kv_head} * kv.head_dim;
  for (int64_t row = 0; row < num_rows(task); ++row)
    for (int d = 0; d < kv.head_dim; ++d)
      sums.out[row * kv.head_dim + d] *= largest[d] / largest_kv_number(kv.dtype);
}

}  // namespace

TensorView PagedAttention::queries(const AttentionArgs& args, ThreadPool& pool) {
  const TensorView given = host_view(args.qkv);
  if (!args.kv.key_largest) return given;
  const int64_t tokens = args.out.shape[0], width = args.out.shape[1];
  const TensorView scaled{scaled_queries_.floats(tokens * width), given.dtype, {tokens, width}};
  for_rows(pool, tokens, width, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t)
      if (scaled.dtype == DType::kBf16)
        scale_query(args, reinterpret_cast<const Bf16*>(row_of(given, t)),
                    reinterpret_cast<Bf16*>(row_of(scaled, t)));
      else
        scale_query(args, reinterpret_cast<const float*>(row_of(given, t)),
                    reinterpret_cast<float*>(row_of(scaled, t)));
  });
  return scaled;
}

void PagedAttention::make_tasks(const AttentionArgs& args, const TensorView& queries) {
  const KvLayerView& kv = args.kv;
  const int heads = static_cast<int>(args.out.shape[1] / (int64_t{kv.kv_heads} * kv.head_dim));
  const int step = std::max(1, kAttentionRows / heads);
  const auto bytes = static_cast<int64_t>(dtype_bytes(args.out.dtype));
  const int64_t q_stride = queries.shape[1], y_stride = args.out.shape[1];
  const auto blocks = host_span<int32_t>(args.batch->blocks);
  std::byte* const out = DeviceAccess::pointer(args.out.data);
  tasks_.clear();
  for (const RaggedRow& row : rows_of(*args.batch))
    for (int token = 0; token < row.num_tokens; token += step)
      for (int kv_head = 0; kv_head < kv.kv_heads; ++kv_head) {
        const int64_t t = row.first_token + token, head = int64_t{kv_head} * heads * kv.head_dim;
        tasks_.push_back({.kv = &kv,
                          .blocks = blocks.data() + row.first_block,
                          .kv_head = kv_head,
                          .heads = heads,
                          .scale = args.scale,
                          .q = queries.as<std::byte>() + (t * q_stride + head) * bytes,
                          .q_type = args.qkv.dtype,
                          .q_stride = q_stride,
                          .num_tokens = std::min(step, row.num_tokens - token),
                          .first_position = row.first_position + token,
                          .y = out + (t * y_stride + head) * bytes,
                          .y_stride = y_stride});
      }
  // The longest first, so that no thread ends late.
  std::ranges::stable_sort(tasks_, std::greater<>(), num_segments);
}

void PagedAttention::run(const AttentionArgs& args, const Kernels& kernels, ThreadPool& pool) {
  worker_scratch_.resize(pool.threads());
  make_tasks(args, queries(args, pool));
  if (std::ssize(tasks_) < 2 * pool.threads())
    run_split(kernels, pool);
  else
    run_whole(kernels, pool);
}

void PagedAttention::run_whole(const Kernels& kernels, ThreadPool& pool) {
  pool.parallel_for(std::ssize(tasks_), [&](int64_t index, int worker) {
    const AttentionTask& task = tasks_[index];
    const int64_t size = sums_floats(task);
    float* memory = worker_scratch_[worker].floats(
        2 * size + attention_scratch(num_rows(task), task.kv->head_dim));
    const AttentionSums total = no_sums_at(memory, task), part = sums_at(memory + size, task);
    for (int segment = 0; segment < num_segments(task); ++segment) {
      kernels.attention_segment(task, segment, part, memory + 2 * size);
      kernels.attention_merge(total, part, num_rows(task), task.kv->head_dim);
    }
    scale_values(total, task);
    kernels.attention_finish(total, task);
  });
}

void PagedAttention::run_split(const Kernels& kernels, ThreadPool& pool) {
  parts_.clear();
  int64_t floats = 0;
  for (const AttentionTask& task : tasks_)
    for (int segment = 0; segment < num_segments(task); ++segment) {
      parts_.push_back({&task, segment, floats});
      floats += sums_floats(task);
    }
  float* const memory = partial_sums_.floats(floats);
  pool.parallel_for(std::ssize(parts_), [&](int64_t index, int worker) {
    const auto& [task, segment, offset] = parts_[index];
    const int64_t rows = num_rows(*task);
    float* scratch = worker_scratch_[worker].floats(attention_scratch(rows, task->kv->head_dim));
    kernels.attention_segment(*task, segment, sums_at(memory + offset, *task), scratch);
  });
  pool.parallel_for(std::ssize(tasks_), [&](int64_t index, int worker) {
    const AttentionTask& task = tasks_[index];
    const auto total = no_sums_at(worker_scratch_[worker].floats(sums_floats(task)), task);
    for (const Part& part : parts_)  // in ascending order of segments
      if (part.task == &task)
        kernels.attention_merge(total, sums_at(memory + part.offset, task), num_rows(task),
                                task.kv->head_dim);
    scale_values(total, task);
    kernels.attention_finish(total, task);
  });
}

}  // namespace erne::cpu
