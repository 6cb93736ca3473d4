// exec: runs the scheduler's plans on a model. ModelExecutor stages a plan's rows into the shapes
// that a forward wants, copies KV blocks between tiers, and runs the forward; StepSampler turns the
// logits into tokens. It owns the KV memory and the workspace, while the model, its weights and the
// back end outlive it. Lives on the engine's thread. Between steps it keeps KV, and with each
// sequence what sampling needs of its earlier tokens; nothing else, so what a plan computes depends
// on the plan and on the KV that it names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/communicator.h"
#include "backend/readback.h"
#include "exec/step_sampler.h"
#include "exec/step_staging.h"
#include "model/kv_layers.h"
#include "model/model.h"
#include "sched/executor.h"

namespace erne::exec {

struct ExecutorOptions {
  int num_blocks = 0;   // of KV on the device
  int host_blocks = 0;  // and of its tier on the host
  int block_tokens = 64;
  int max_tokens = 0;        // of one plan
  int max_rows = 0;          // of one plan
  int num_valid_tokens = 0;  // ids from here on are padding of the vocabulary and never sampled
  DType kv_dtype = DType::kBf16;
  int max_sequence_tokens = 0;  // that one row's blocks are for; 0: as many as there are blocks for
};

class ModelExecutor final : public sched::Executor {
 public:
  // `drafter`: null: none are proposed but what a constraint leaves no choice about.
  // `make_constraint`: empty: requests have none.
  ModelExecutor(Backend& backend, const model::Model& model, const ExecutorOptions& options,
                std::unique_ptr<const Drafter> drafter = nullptr,
                ConstraintMaker make_constraint = nullptr);

  kv::KvGeometry kv_geometry() const override { return kv_.geometry(); }
  // Fails (StepResult::failure) if the model computes a NaN: its weights are damaged; and where the
  // device does.
  sched::StepResult run(const sched::BatchPlan& plan) override;

  // Computes the largest steps that a plan may be, of one long row and of many short ones, and
  // stores nothing: so whatever memory ops work in is taken now, and a step never finds none. A
  // device that has too little throws DeviceFailure.
  void warm_up();

  // Memory of its own for a model of this configuration, besides KV.
  static size_t workspace_bytes(const model::ErnieConfig& config, DType activation,
                                const ExecutorOptions& options);
  // That of an executor of such options, with all that its ops work in and whatever else such a
  // device takes: counted by warming one up on a new back end that computes nothing and counts
  // (make_cuda_rehearsal), for a model without values.
  static size_t rehearsed_bytes(Backend& rehearsal, const model::Model& outline,
                                const ExecutorOptions& options);

 private:
  int longest_sequence() const;
  void compute(int num_rows, int num_tokens);
  sched::StepResult compute(const sched::BatchPlan& plan);
  bool backend_draws() const {
    return backend_.samples() && options_.num_valid_tokens <= kMaxDrawTokens;
  }
  // From the first rows of the logits.
  SampleArgs draws_from_logits(std::span<const TokenDraw> draws);
  std::optional<Status> sample(const sched::BatchPlan& plan);

  Backend& backend_;
  const model::Model& model_;
  ExecutorOptions options_;
  model::KvLayers kv_;
  model::Workspace workspace_;
  DeviceBuffer logits_;  // [max_logit_rows, V] float32
  DeviceBuffer drawn_;   // [max_logit_rows] int32: tokens
  Readback logits_readback_, drawn_readback_;
  OneRank ranks_;
  StepStaging staging_;
  StagingArea inputs_;
  StepSampler sampler_;
};

}  // namespace erne::exec
