// An executor that proves a plan instead of computing it. Its KV slots hold the hash of the tokens
// up to their position; executing a row, it checks through the block table that every position the
// row would attend to holds exactly that, and answers with ShadowModel. A stale or shared block
// written, a copy lost or out of order, a wrong position or draft becomes a fault or another text.
//
// A second lane plays a drafter's KV (multi-token prediction). Its value at position i belongs to
// the pair (hidden state of i-1, token i), so it depends on no token after i and blocks stay
// shareable. The hidden state before a row is carried over from the request's last step, or, after
// a prefix hit, made by computing the position before the row once more without storing it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "kv/kv_geometry.h"
#include "sched/executor.h"
#include "sched/sequence.h"
#include "sim/shadow_model.h"

namespace erne::sim {

struct ShadowOptions {
  kv::KvGeometry geometry;
  int vocabulary = 64;
  int max_drafts = 0;       // proposals per row: between 0 and this
  int draft_accuracy = 50;  // percent of them that are right
};

class ShadowExecutor final : public sched::Executor {
 public:
  explicit ShadowExecutor(const ShadowOptions& options);

  kv::KvGeometry kv_geometry() const override { return options_.geometry; }
  // The first fault it finds comes back as the result's failure.
  sched::StepResult run(const sched::BatchPlan& plan) override;

  const ShadowModel& model() const { return model_; }

 private:
  struct Slot {
    PrefixHash prefix = 0;
    uint64_t draft_lane = 0;
  };
  struct Carried {  // a request's last hidden state
    int position = -1;
    uint64_t hidden = 0;
  };

  void copy_block(const kv::BlockCopy& copy);
  bool is_well_formed(const sched::BatchPlan& plan, const sched::PlanRow& row);
  Slot& slot(const sched::BatchPlan& plan, const sched::PlanRow& row, int position);
  std::vector<PrefixHash> prefixes(const sched::BatchPlan& plan, const sched::PlanRow& row) const;
  uint64_t hidden_before(const sched::BatchPlan& plan, const sched::PlanRow& row);
  void write(const sched::BatchPlan& plan, const sched::PlanRow& row,
             const std::vector<PrefixHash>& prefixes);
  void check_history(const sched::BatchPlan& plan, const sched::PlanRow& row,
                     const std::vector<PrefixHash>& prefixes);
  sched::RowResult answer(const sched::BatchPlan& plan, const sched::PlanRow& row,
                          const std::vector<PrefixHash>& prefixes);
  std::vector<sched::TokenId> propose(const sched::Sequence& sequence, PrefixHash prefix,
                                      int generated) const;
  void fault(const sched::PlanRow& row, const std::string& what);

  const ShadowOptions options_;
  const ShadowModel model_;
  std::vector<Slot> slots_;  // of both tiers, by block and place in it
  std::unordered_map<sched::RequestId, Carried> carried_;
  std::string fault_;  // the first; empty: none
};

}  // namespace erne::sim
