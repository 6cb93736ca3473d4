// The door of the SentencePiece library: it trusts its model file in places where a wrong one makes
// it read beyond its tables, so the file is read here first.
#pragma once

#include <string_view>

#include "base/status.h"

namespace erne::text {

// Refuses what is not a BPE model with sane pieces and sound normalisation tables. What this
// accepts, the library may still refuse, but not stumble over. Source: sentencepiece_model.proto;
// the tables' layout is that of Darts-clone's double arrays.
Result<void> check_sentencepiece_model(std::string_view bytes);

}  // namespace erne::text
