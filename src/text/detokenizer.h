// Text of a growing sequence of tokens, as soon as it is certain. What push() and finish() return,
// joined, is Tokenizer::decode of all the tokens, and no piece ever ends inside a character.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace erne::text {

class Detokenizer {
 public:
  // `skip_special`: special tokens are left out, but for those of `shown`, which outlives this.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special, std::span<const TokenId> shown = {})
      : tokenizer_(tokenizer), skip_special_(skip_special), shown_(shown) {}

  // The text this token completes; valid until the next call. At most 3 bytes, the beginning of a
  // character, are held back.
  std::string_view push(TokenId id);
  // The end of the sequence: bytes still held back will never be a character, and become U+FFFD.
  std::string_view finish();
  // Whether bytes are held back.
  bool is_undecided() const { return !pending_.empty(); }

 private:
  bool is_left_out(TokenId id) const;
  void take_pending(bool at_end);

  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::span<const TokenId> shown_;
  std::string pending_;  // bytes of byte pieces that may still become a character
  std::string text_;
};

}  // namespace erne::text
