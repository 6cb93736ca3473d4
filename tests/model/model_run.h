// Drives a Model by hand, as exec/ does from plans: sequences with block tables, fed in any pieces
// and any company.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/readback.h"
#include "model/kv_layers.h"
#include "model/model.h"

namespace erne::tests {

struct Feed {
  int sequence;
  std::span<const int32_t> tokens;
};

class ModelRun {
 public:
  // kv: of the cache; by default as activations.
  ModelRun(Backend& backend, const model::Model& model, std::optional<DType> kv = {});

  // A new sequence whose first token has this rotary position.
  int add_sequence(int first_position = 0);
  // One step over all feeds. Returns the logits of every token fed, [tokens, V].
  std::vector<float> step(std::span<const Feed> feeds);

  // A new sequence over `tokens`, `chunk` at a time (0: all at once). Logits of every token.
  std::vector<float> run_alone(std::span<const int32_t> tokens, int first_position, int chunk = 0);

 private:
  struct Sequence {
    int first_position = 0;
    int computed = 0;
    std::vector<int32_t> blocks;
  };
  void stage(const Feed& feed);
  std::vector<float> all_logits();

  Backend& backend_;
  const model::Model& model_;
  model::KvLayers kv_;
  model::Workspace workspace_;
  DeviceBuffer logits_;
  Readback readback_;
  OneRank ranks_;
  StagingArea inputs_;
  std::vector<Sequence> sequences_;
  int num_free_blocks_;

  // The step being built.
  std::vector<int32_t> tokens_, positions_, slots_, blocks_;
  std::vector<RaggedRow> rows_;
};

}  // namespace erne::tests
