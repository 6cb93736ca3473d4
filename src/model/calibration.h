// What calibration has put into a checkpoint besides codes: FastDeploy's offline w4a8 and w4a8c8
// (docs/ernie-models.md, 8.5 and 8.6).
#pragma once

#include "base/status.h"
#include "model/ernie_config.h"
#include "weights/checkpoint.h"

namespace erne::model {

// Of a checkpoint whose config.json this is. Refused: weights that may be rotated, where nothing
// says by what.
Result<Calibration> find_calibration(const ErnieConfig& config,
                                     const weights::Checkpoint& checkpoint);

}  // namespace erne::model
