// tokenizer.json: the vocabulary as Hugging Face's tokenizers library writes it; many fine-tuned
// checkpoints have no other file. Read for what ERNIE's family is, BPE over SentencePiece's pieces:
// the ways in which converters have written that down (a normaliser of Prepend and Replace, or a
// Metaspace pre-tokeniser) are all understood; another kind of tokeniser is refused by the name of
// what it needs. The library itself is not used: it cannot be stopped or bounded in memory while it
// encodes a client's text.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "text/vocabulary.h"

namespace erne::text {

// The flags of an added token's object, here and in tokenizer_config.json; absent ones are off.
TokenFlags token_flags(const Json& token);

// kInvalid or kUnsupported name the field. Ids are those the library gives.
Result<Vocabulary> read_tokenizer_json(std::string_view text);

}  // namespace erne::text
