// Byte pair encoding: of all neighbours that may be joined, the best pair is joined first, the
// leftmost of equals, until no pair is left. SentencePiece's BPE models and those of Hugging Face's
// tokenizer.json both do this; they differ in how they write down which pairs may be joined.
//
// A text is cut where nothing can be joined across: no merge has these two characters at its
// seam. So time is about linear in the text, memory is that of a window of it, and the work can end
// between two words. Immutable once it has all its merges; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/token_id.h"

namespace erne::text {

class Bpe {
 public:
  // `text` is valid UTF-8 and not empty; a second piece of the same text is ignored.
  void add_piece(std::string_view text, TokenId id);
  // `first` and `second`, side by side, may be joined. Lower ranks go first; of two merges of the
  // same pair the first one counts.
  void add_merge(std::string_view first, std::string_view second, int32_t rank);

  // A part of the encoded text. The id is -1 for what is no piece: a single character, or a part
  // that a merge makes but no piece names.
  using Sink = std::function<void(TokenId id, std::string_view text)>;
  using IsWanted = std::function<bool()>;
  // Calls `sink` with the parts of a valid UTF-8 text, in order, until all is said or `is_wanted`
  // gives false; it is asked every few thousand characters.
  void encode(std::string_view text, const IsWanted& is_wanted, const Sink& sink) const;

 private:
  using SymbolId = int32_t;  // of a text that a piece or a merge names; -1: none
  struct Merge {
    int32_t rank;
    SymbolId result;
  };
  struct Symbol {
    SymbolId id;
    int32_t previous, next;  // indices; -1: none
    uint32_t begin, length;  // bytes; no length: joined to the one before
  };
  struct Candidate {
    int32_t rank;
    int32_t left;  // index of the left one of a pair
    SymbolId result;
    bool operator<(const Candidate& other) const {  // a heap's top is its largest
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  struct Work;  // what one call of encode reuses from word to word

  SymbolId symbol(std::string_view text);
  const Merge* find_merge(SymbolId left, SymbolId right) const;
  void consider(int32_t left, Work& work) const;
  void join(std::string_view word, Work& work) const;
  bool stays_apart(std::string_view left, std::string_view right, Work& work) const;
  void say(std::string_view word, Work& work, const Sink& sink) const;
  static std::string_view window(std::string_view text);
  std::vector<size_t> cuts_of(std::string_view run, Work& work) const;
  bool say_run(std::string_view run, Work& work, const IsWanted& is_wanted, const Sink& sink) const;

  std::unordered_map<std::string, SymbolId> symbols_;
  std::vector<TokenId> piece_;                         // by symbol; -1: no piece
  std::unordered_map<uint32_t, SymbolId> characters_;  // symbols of a single one
  std::unordered_map<uint64_t, Merge> merges_;         // by pair of symbols
  std::unordered_set<uint64_t> neighbours_;            // the characters at the seams of merges
};

}  // namespace erne::text
