#include "text/added_tokens.h"

#include <algorithm>

#include "base/check.h"
#include "text/character_classes.h"

namespace erne::text {

void AddedTokens::insert(std::string_view content, TokenId id, bool special,
                         const TokenFlags& flags) {
  CHECK(!content.empty());
  is_first_[static_cast<unsigned char>(content[0])] = true;
  size_t node = 0;
  for (const char byte : content) {
    const auto [child, is_new] = children_.try_emplace(edge(node, byte), ends_.size());
    if (is_new) ends_.push_back(-1);
    node = child->second;
  }
  CHECK_EQ(ends_[node], -1);
  ends_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back({id, special, flags});
}

const AddedTokens::Token* AddedTokens::longest_token(std::string_view text, Specials specials,
                                                     size_t& length) const {
  const Token* longest = nullptr;
  size_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto child = children_.find(edge(node, text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (ends_[node] < 0) continue;
    const Token& token = tokens_[static_cast<size_t>(ends_[node])];
    if (specials == Specials::kAsText && token.special) continue;
    longest = &token;
    length = i + 1;
  }
  return longest;
}

std::optional<AddedTokens::Match> AddedTokens::longest_at(std::string_view text,
                                                          Specials specials) const {
  size_t length = 0;
  const Token* token = longest_token(text, specials, length);
  return token == nullptr ? std::nullopt : std::optional(Match{token->id, length});
}

std::optional<AddedTokens::Found> AddedTokens::find(std::string_view text, size_t from,
                                                    Specials specials) const {
  for (size_t i = from; i < text.size();) {
    size_t length = 0;
    const Token* token = is_first_[static_cast<unsigned char>(text[i])]
                             ? longest_token(text.substr(i), specials, length)
                             : nullptr;
    if (token == nullptr) {
      ++i;
      continue;
    }
    Found found = {token->id, i, i + length};
    i += length;
    const TokenFlags& flags = token->flags;
    if (flags.single_word &&
        (ends_in_word(text.substr(0, found.begin)) || starts_with_word(text.substr(found.end))))
      continue;
    if (flags.lstrip) found.begin -= white_space_at_end(text.substr(from, found.begin - from));
    if (flags.rstrip) found.end += white_space_at_start(text.substr(found.end));
    return found;
  }
  return std::nullopt;
}

}  // namespace erne::text
