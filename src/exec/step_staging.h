// From a plan to what a forward takes: where each token of a step stands, where its KV goes, and
// which block table is whose. Pure: lists of numbers out of lists of numbers, reused by every step.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/staged_step.h"
#include "sched/executor.h"

namespace erne::exec {

class StepStaging {
 public:
  explicit StepStaging(int block_tokens) : block_tokens_(block_tokens) {}

  // Valid until the next call, and while the plan is.
  StepInputs stage(const sched::BatchPlan& plan);

 private:
  void stage_row(const sched::BatchPlan& plan, const sched::PlanRow& row);

  int block_tokens_;
  std::vector<int32_t> positions_, slots_;
  std::vector<RaggedRow> rows_;
};

}  // namespace erne::exec
