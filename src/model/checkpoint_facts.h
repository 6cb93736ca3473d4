// What a checkpoint is, as its config.json and its tensors say together: a second immutable thing
// beside ErnieConfig, found once when a folder is opened.
#pragma once

#include "base/status.h"
#include "model/ernie_config.h"
#include "tensor/quantization.h"
#include "weights/checkpoint.h"

namespace erne::model {

// What calibration has put into a checkpoint besides codes: FastDeploy's offline w4a8 and w4a8c8
// (docs/ernie-models.md, 8.5 and 8.6).
struct Calibration {
  bool input_scales = false;  // Linear::input_largest of the experts
  bool kv_scales = false;     // KvLayerView::key_largest and value_largest
  int rotation = 0;           // ExpertsArgs::rotation
};

struct CheckpointFacts {
  bool tied = true;        // the head is the embedding
  bool is_packed = false;  // the weights are erne's own (weights/packed_checkpoint.h)
  // What weights are quantised to, or ask to be; nullptr: nothing.
  const QuantizationScheme* scheme = nullptr;
  Calibration calibration = {};
};

// The facts about weights that cannot say anything themselves: packed by erne, or drawn at random.
// Unless config.json says otherwise, the head is tied.
CheckpointFacts stated_facts(const ErnieConfig& config);

// The facts about the checkpoint that `config` describes. Where the file does not say whether the
// head is tied, the checkpoint does: by having a head. Refused: weights that may be rotated, where
// nothing says by what.
Result<CheckpointFacts> find_facts(const ErnieConfig& config,
                                   const weights::Checkpoint& checkpoint);

}  // namespace erne::model
