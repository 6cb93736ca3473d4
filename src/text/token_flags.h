// How an added token is found in a text, as Hugging Face's AddedToken says it.
#pragma once

#include <optional>
#include <string>

#include "base/token_id.h"

namespace erne::text {

struct TokenFlags {
  bool single_word = false;  // not inside a word: "cat" is not found in "cats"
  bool lstrip = false;       // takes the white space before it into itself
  bool rstrip = false;       // and behind it
  // Looked for in the normalised text, normalised itself. tokenizer.json only: the tokenizers that
  // read tokenizer.model look for every added token in the text as it is.
  bool normalized = false;
  bool operator==(const TokenFlags&) const = default;
};

struct AddedToken {
  std::string content;
  TokenId id = -1;
  std::optional<bool> special;  // none: no file says
  TokenFlags flags;
};

}  // namespace erne::text
