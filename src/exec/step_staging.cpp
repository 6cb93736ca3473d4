#include "exec/step_staging.h"

#include "base/check.h"

namespace erne::exec {

StepInputs StepStaging::stage(const sched::BatchPlan& plan) {
  positions_.clear();
  slots_.clear();
  rows_.clear();
  for (const sched::PlanRow& row : plan.rows) stage_row(plan, row);
  return {plan.tokens, positions_, slots_, rows_, plan.blocks};
}

void StepStaging::stage_row(const sched::BatchPlan& plan, const sched::PlanRow& row) {
  rows_.push_back({row.tokens.begin, row.count, row.first, row.blocks.begin});
  for (int position = row.first; position < row.first + row.count; ++position) {
    const int block = row.blocks.begin + position / block_tokens_;
    CHECK_LT(block, row.blocks.end);
    positions_.push_back(position);
    slots_.push_back(plan.blocks[block] * block_tokens_ + position % block_tokens_);
  }
}

}  // namespace erne::exec
