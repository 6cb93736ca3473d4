// A private character for every special token of a vocabulary, so that a rendered chat tells the
// template's special tokens from a client's text that merely looks like them. See chat_prompt.h.
//
// The marks are in Unicode's plane 16, all of which is private use: mark i is U+100000 + i. A
// client's own characters of plane 16 travel as two: U+10FFFD, then the character of plane 15
// below. An escape holds no mark, so no template can cut one out of it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace erne::text {

class SpecialMarks {
 public:
  // `tokenizer` outlives this.
  explicit SpecialMarks(const Tokenizer& tokenizer);

  // Text the operator wrote: special tokens become their marks. kInvalid where it holds a character
  // of plane 16 already. A special token without punctuation could be a word of the template's code
  // and is left alone: no chat ever contains it.
  Result<std::string> mark(std::string_view text) const;

  // What a client wrote: a text, or all strings of a value, keys included.
  std::string escape_text(std::string_view text) const;
  Json escape(const Json& value) const;

  // The ids of a rendered text: marks become their special tokens, escapes what they stand for, and
  // everything between marks is encoded as text. As Tokenizer::encode_within.
  Result<std::vector<TokenId>> encode(std::string_view rendered, const EncodeLimits& limits) const;
  // The special ones among them, in order.
  std::vector<TokenId> specials(std::string_view rendered) const;
  // The same as text, special tokens spelled out.
  std::string spell_out(std::string_view rendered) const;

  // No fewer tokens come of a rendered text of so many bytes.
  size_t least_tokens(size_t bytes) const { return tokenizer_->least_tokens(bytes); }

 private:
  // Cuts a rendered text at its marks: calls text(unescaped text before a mark, or at the end) and
  // special(id) in order.
  template <class OnText, class OnSpecial>
  void walk(std::string_view rendered, OnText text, OnSpecial special) const;

  const Tokenizer* tokenizer_;
  std::vector<TokenId> specials_;  // by mark
  std::unordered_map<TokenId, size_t> mark_of_;
};

}  // namespace erne::text
