// The tokens that are looked for in a text before its pieces are joined.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/token_id.h"
#include "text/token_flags.h"

namespace erne::text {

// What a special token's text means inside the text to encode.
enum class Specials {
  kParse,  // the special token: templates, raw prompts
  // Only text: what a chat's user typed. No special id comes out, whatever the text is, but <unk>
  // for a character that a model without byte pieces cannot write.
  kAsText,
};

class AddedTokens {
 public:
  // `content` is not empty and not there yet.
  void insert(std::string_view content, TokenId id, bool special, const TokenFlags& flags = {});
  bool empty() const { return tokens_.empty(); }

  struct Match {
    TokenId id;
    size_t length;  // bytes
  };
  // The longest token that `text` starts with. With kAsText special tokens do not count.
  std::optional<Match> longest_at(std::string_view text, Specials specials) const;

  struct Found {
    TokenId id;
    size_t begin, end;  // of the text that becomes this token: white space it takes, too
  };
  // The first token at or after `from`, of those that start at one place the longest; its flags
  // may make it none, or have it take white space. What is before `from` belongs to others.
  std::optional<Found> find(std::string_view text, size_t from, Specials specials) const;

 private:
  struct Token {
    TokenId id;
    bool special;
    TokenFlags flags;
  };
  const Token* longest_token(std::string_view text, Specials specials, size_t& length) const;

  // A byte trie; its edges in one table, because most nodes have a single child.
  static uint64_t edge(size_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(byte);
  }

  std::vector<Token> tokens_;
  std::vector<int32_t> ends_{-1};  // by node: the token that ends here; -1: none
  std::unordered_map<uint64_t, size_t> children_;
  bool is_first_[256] = {};  // bytes that tokens start with: everything else is passed over quickly
};

}  // namespace erne::text
