// `erne bench make-checkpoint`: a checkpoint of a model's exact shapes with random weights, for
// measuring speed where the real one is not at hand.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace erne::apps {

struct MakeCheckpointOptions {
  std::string model;   // folder whose config.json gives the shapes
  std::string output;  // folder to make
  uint64_t seed = 1;
};

// Writes what `--load-choices dummy --seed N` draws, in files that other engines read as well. One
// tensor is in memory at a time. Returns a sentence on what it wrote.
Result<std::string> make_checkpoint(const MakeCheckpointOptions& options);

}  // namespace erne::apps
