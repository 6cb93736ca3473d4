// The port between the scheduler and a device. In every step the scheduler hands an executor a
// BatchPlan, which says what to compute, and gets a StepResult back, which says what came of it.
// exec::ModelExecutor runs plans on a model; sim::ShadowExecutor computes nothing and proves that a
// plan is right. Both are called on the engine's thread, one plan at a time.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kv/kv_geometry.h"
#include "sched/request.h"

namespace erne::sched {

struct Sequence;
struct ExecutorNotes;

struct Range {
  int begin = 0, end = 0;
  int size() const { return end - begin; }
};

// One sequence's share of a step: compute tokens [first, first + count) of it.
struct PlanRow {
  RequestId request = 0;
  int first = 0;   // position of the first token to compute = tokens that have KV already
  int count = 0;   // tokens to compute, drafts included
  int drafts = 0;  // the last `drafts` of them are unverified
  // Sample after the last verified token and after each draft that was right. Without drafts: after
  // the row's last token.
  bool wants_token = false;
  bool wants_prompt_logprobs = false;  // score the prompt tokens this row predicts
  Range tokens;                        // into BatchPlan::tokens, `count` of them
  Range blocks;  // into BatchPlan::blocks: at least those of positions [0, first + count)
  const Sequence* sequence = nullptr;  // for sampling parameters and history; valid until commit
  std::unique_ptr<ExecutorNotes>* notes = nullptr;  // the sequence's, for the executor to fill
};

struct BatchPlan {
  Step step = 0;
  std::vector<PlanRow> rows;          // most important first: by priority, then by id
  std::vector<TokenId> tokens;        // the rows' tokens, concatenated
  std::vector<kv::BlockId> blocks;    // the rows' block tables, concatenated
  std::vector<kv::BlockCopy> copies;  // to do before the forward, in this order
};

struct RowResult {
  // wants_token: the accepted drafts, a prefix of the row's, and the one token sampled after them;
  // else empty.
  std::vector<TokenId> accepted = {};
  std::vector<TokenId> drafts = {};  // a proposal for the next step; the scheduler may cut it
  // One per accepted token, if the request asks for them.
  std::vector<PositionLogprobs> logprobs = {};
  // wants_prompt_logprobs: one each for prompt tokens first+1 .. min(first+count, prompt size - 1).
  // After a preemption a row may score again what was reported before: the scheduler drops that.
  std::vector<PositionLogprobs> prompt_logprobs = {};
  std::optional<Status> failure = {};  // of this sequence alone, which ends; the rest is ignored
};

struct StepResult {
  Step step = 0;
  std::vector<RowResult> rows = {};    // as in the plan; none after a failure
  std::optional<Status> failure = {};  // the device is lost: every request ends, nothing runs again
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual kv::KvGeometry kv_geometry() const = 0;
  virtual StepResult run(const BatchPlan& plan) = 0;
};

}  // namespace erne::sched
