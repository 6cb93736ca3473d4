// tokenizer.model: the vocabulary as SentencePiece's trainer writes it. Read by code of our own,
// because the library trusts the file where a wrong one leads it beyond its tables, and because a
// text's encoding has to be bounded in memory and must end when nobody wants it any more.
#pragma once

#include <string_view>

#include "base/status.h"
#include "text/vocabulary.h"

namespace erne::text {

// A BPE model; ids are those that SentencePiece gives. kInvalid names what is wrong. Source:
// sentencepiece_model.proto.
Result<Vocabulary> read_sentencepiece_model(std::string_view bytes);

}  // namespace erne::text
