#include "server/text_offsets.h"

#include <algorithm>

#include "base/utf8.h"

namespace erne::server {
namespace {

// How far a token's text is looked for behind what the tokens before it have left of the text.
constexpr size_t kMaxSkippedBytes = 256;

}  // namespace

int64_t num_characters(std::string_view utf8) {
  return std::ranges::count_if(utf8, [](char byte) { return !continues_character(byte); });
}

std::string_view CountingDetokenizer::counted(std::string_view text) {
  num_characters_ += server::num_characters(text);
  return text;
}

CountingDetokenizer::Pushed CountingDetokenizer::push(TokenId id) {
  const std::string_view text = counted(detokenizer_.push(id));
  // Whatever this token completes ends with its own characters.
  int64_t own = 0;
  if (!text.empty() && tokenizer_.is_byte(id))
    own = detokenizer_.is_undecided() ? 0 : 1;
  else if (!text.empty())
    own = server::num_characters(tokenizer_.token_bytes(id));
  return {num_characters_ - own, text};
}

std::string_view CountingDetokenizer::finish() {
  return counted(detokenizer_.finish());
}

std::vector<int64_t> offsets_in(std::string_view text, const std::vector<TokenId>& ids,
                                const text::Tokenizer& tokenizer) {
  std::vector<int64_t> offsets;
  offsets.reserve(ids.size());
  size_t taken = 0;        // bytes of the text
  int64_t characters = 0;  // that end in them
  const auto take = [&](size_t bytes) {
    characters += num_characters(text.substr(taken, bytes));
    taken += bytes;
  };
  for (const TokenId id : ids) {
    const std::string_view own = tokenizer.token_bytes(id);
    const size_t skipped = text.substr(taken, kMaxSkippedBytes + own.size()).find(own);
    const bool is_there = !own.empty() && skipped != std::string_view::npos;
    if (is_there) take(skipped);
    // Inside a character, the one that has begun is not over.
    const bool is_inside = taken < text.size() && continues_character(text[taken]);
    offsets.push_back(offsets.empty() ? 0 : characters - (is_inside ? 1 : 0));
    if (is_there) take(own.size());
  }
  return offsets;
}

}  // namespace erne::server
