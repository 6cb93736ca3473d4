// Attention of a ragged batch over paged KV: cuts the batch into tasks and merges their segments.
// Decode, chunks of a prompt and drafts to verify are the same here, rows of different lengths.
#pragma once

#include <vector>

#include "backend/backend.h"
#include "cpu/kernels/kernels.h"
#include "cpu/machine/host_memory.h"
#include "cpu/machine/thread_pool.h"

namespace erne::cpu {

class PagedAttention {
 public:
  void run(const AttentionArgs& args, const Kernels& kernels, ThreadPool& pool);

 private:
  // The queries, times the scales of the keys' components where they have such.
  TensorView queries(const AttentionArgs& args, ThreadPool& pool);
  void make_tasks(const AttentionArgs& args, const TensorView& queries);
  // Many tasks: a thread takes one with all its segments.
  void run_whole(const Kernels& kernels, ThreadPool& pool);
  // Fewer tasks than would keep all threads busy: a thread takes one segment of one.
  void run_split(const Kernels& kernels, ThreadPool& pool);

  struct Part {
    const AttentionTask* task;
    int segment;
    int64_t offset;  // of its sums in partial_sums_
  };

  std::vector<AttentionTask> tasks_;
  std::vector<Part> parts_;
  Scratch partial_sums_, scaled_queries_;
  std::vector<Scratch> worker_scratch_;
};

}  // namespace erne::cpu
