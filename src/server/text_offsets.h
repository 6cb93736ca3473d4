// Where in a returned text each token's own text begins: text_offset of logprobs.
//
// The unit is the character, as a Python string counts it (a Unicode code point). The rule:
// offset[i] is the number of characters of the returned text before those of token i, so that
// text[offset[i]:offset[i+1]] of all tokens, the last one's reaching to the end, are the text.
// A character that several tokens make up is that of the last of them; a byte that is part of none
// becomes U+FFFD, which is that of the last byte before the text goes on; a token that the text
// leaves out has no characters.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace erne::server {

int64_t num_characters(std::string_view utf8);

// A Detokenizer that counts.
class CountingDetokenizer {
 public:
  // `before`: characters of the returned text before the first token's. `shown`: as Detokenizer's.
  CountingDetokenizer(const text::Tokenizer& tokenizer, bool skip_special, int64_t before,
                      std::span<const TokenId> shown = {})
      : tokenizer_(tokenizer),
        detokenizer_(tokenizer, skip_special, shown),
        num_characters_(before) {}

  struct Pushed {
    int64_t offset;
    std::string_view text;  // that the token completes; valid until the next call
  };
  Pushed push(TokenId id);
  std::string_view finish();
  int64_t num_characters() const { return num_characters_; }

 private:
  std::string_view counted(std::string_view text);

  const text::Tokenizer& tokenizer_;
  text::Detokenizer detokenizer_;
  int64_t num_characters_;
};

// Where each token that a text was encoded to begins in it. Where a token is not what the text has
// next (the tokenizer knows no token for it, or leaves spaces out), it begins where its own text
// next does.
std::vector<int64_t> offsets_in(std::string_view text, const std::vector<TokenId>& ids,
                                const text::Tokenizer& tokenizer);

}  // namespace erne::server
