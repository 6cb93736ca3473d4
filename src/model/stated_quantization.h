// config.json's `quantization_config`: FastDeploy's, Hugging Face's block-wise fp8, and that of
// `erne quantize`.
#pragma once

#include "base/status.h"
#include "model/config_fields.h"
#include "model/ernie_config.h"

namespace erne::model {

// `fields`: all of config.json. `expert_width`: moe_intermediate_size, which a rotation must
// divide.
Result<StatedQuantization> parse_stated_quantization(const ConfigFields& fields, int expert_width);

}  // namespace erne::model
