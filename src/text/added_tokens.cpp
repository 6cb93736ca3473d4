#include "text/added_tokens.h"

#include "base/check.h"

namespace erne::text {

void AddedTokens::insert(std::string_view content, TokenId id, bool special) {
  CHECK(!content.empty());
  is_first_[static_cast<unsigned char>(content[0])] = true;
  size_t node = 0;
  for (const char byte : content) {
    const auto [child, is_new] = children_.try_emplace(edge(node, byte), nodes_.size());
    if (is_new) nodes_.emplace_back();
    node = child->second;
  }
  CHECK_EQ(nodes_[node].id, -1);
  nodes_[node] = {id, special};
}

std::optional<AddedTokens::Match> AddedTokens::longest_at(std::string_view text,
                                                          Specials specials) const {
  std::optional<Match> longest;
  size_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto child = children_.find(edge(node, text[i]));
    if (child == children_.end()) break;
    node = child->second;
    const Node& end = nodes_[node];
    const bool counts = end.id >= 0 && (specials == Specials::kParse || !end.special);
    if (counts) longest = {end.id, i + 1};
  }
  return longest;
}

std::optional<AddedTokens::Found> AddedTokens::find(std::string_view text, size_t from,
                                                    Specials specials) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!is_first_[static_cast<unsigned char>(text[i])]) continue;
    if (const auto match = longest_at(text.substr(i), specials)) return Found{i, *match};
  }
  return std::nullopt;
}

}  // namespace erne::text
