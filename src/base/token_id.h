// The number of a token in a model's vocabulary: what the tokenizer makes of text, the engine
// schedules and the model computes with. Never negative where it names a token.
#pragma once

#include <cstdint>

namespace erne {

using TokenId = int32_t;

}  // namespace erne
