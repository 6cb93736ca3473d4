// exec: runs plans on a model. Stages a plan's rows into the shapes a forward wants, copies blocks,
// runs the forward, and turns logits into tokens. Owns the KV memory and the workspace; the model,
// its weights and the back end outlive it. Lives on the engine's thread, keeps no state between
// steps but KV: whatever a plan computes depends on the plan and the KV it names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "model/kv_layers.h"
#include "model/model.h"
#include "sched/executor.h"

namespace erne::exec {

struct ExecutorOptions {
  int num_blocks = 0;
  int block_tokens = 64;
  int max_tokens = 0;        // of one plan
  int max_rows = 0;          // of one plan
  int num_valid_tokens = 0;  // ids from here on are padding of the vocabulary and never sampled
  DType kv_dtype = DType::kBf16;
};

class ModelExecutor final : public sched::Executor {
 public:
  ModelExecutor(Backend& backend, const model::Model& model, const ExecutorOptions& options);

  kv::KvGeometry kv_geometry() const override { return geometry_; }
  // Fails (StepResult::failure) if the model computes a NaN: its weights are damaged.
  sched::StepResult run(const sched::BatchPlan& plan) override;

  // Memory of its own, besides the model's weights.
  static size_t workspace_bytes(const model::Model& model, const ExecutorOptions& options);

 private:
  // One position whose logits somebody wants.
  struct LogitUse {
    int plan_row;    // into BatchPlan::rows
    int position;    // of the token that made the logits: they predict position + 1
    bool for_token;  // else: for the prompt token at position + 1
  };

  void stage(const sched::BatchPlan& plan);
  void stage_row(const sched::BatchPlan& plan, const sched::PlanRow& row);
  void list_uses(const sched::BatchPlan& plan);
  std::optional<Status> use_logits(const sched::BatchPlan& plan, sched::StepResult& result);
  void use_one(const sched::BatchPlan& plan, const LogitUse& use, std::span<float> logits,
               sched::RowResult& result);

  Backend& backend_;
  const model::Model& model_;
  ExecutorOptions options_;
  kv::KvGeometry geometry_;
  model::KvLayers kv_;
  model::Workspace workspace_;
  DeviceBuffer logits_;  // [max_logit_rows, V] float32

  // Staging, reused by every step.
  std::vector<int32_t> positions_, slots_, logit_rows_;
  std::vector<RaggedRow> ragged_;
  std::vector<std::pair<int32_t, int32_t>> copies_;
  std::vector<LogitUse> uses_;
  std::vector<sched::TokenId> history_;
};

}  // namespace erne::exec
