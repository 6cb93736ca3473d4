// The tokens that are looked for in a text before SentencePiece sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace erne::text {

class AddedTokens {
 public:
  // `content` is not empty and not there yet.
  void insert(std::string_view content, TokenId id, bool special);

  struct Match {
    TokenId id;
    size_t length;  // bytes
  };
  // The longest token that `text` starts with. With kAsText special tokens do not count.
  std::optional<Match> longest_at(std::string_view text, Specials specials) const;

  struct Found {
    size_t offset;
    Match match;
  };
  // The first position at or after `from` where a token starts.
  std::optional<Found> find(std::string_view text, size_t from, Specials specials) const;

 private:
  struct Node {
    TokenId id = -1;  // the token that ends here; -1: none
    bool special = false;
  };
  // A byte trie; its edges in one table, because most nodes have a single child.
  static uint64_t edge(size_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
  }

  std::vector<Node> nodes_{1};
  std::unordered_map<uint64_t, size_t> children_;
  bool is_first_[256] = {};  // bytes that tokens start with: everything else is passed over quickly
};

}  // namespace erne::text
