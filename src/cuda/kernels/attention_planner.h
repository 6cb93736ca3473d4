// The plan of a batch's attention (attention_plan.h), which all layers of a step share: made by the
// first that asks, and kept until the batch may be another one. A graph that repeats a step has the
// making of its plan in it.
#pragma once

#include <memory>

#include "backend/staged_step.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct Stream;
struct AttentionPlan;

class AttentionPlanner {
 public:
  explicit AttentionPlanner(Runtime& runtime);
  ~AttentionPlanner();

  // In memory that stays as it is until forget().
  const AttentionPlan& plan(Stream& stream, const StagedBatch& batch, int group,
                            int long_tile_queries);
  void forget();

 private:
  Scratch memory_;
  std::unique_ptr<AttentionPlan> plan_;
  StagedBatch batch_;  // that it is of
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
