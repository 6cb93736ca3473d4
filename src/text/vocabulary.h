// What a checkpoint's vocabulary file says, whichever kind of file it is: SentencePiece's
// tokenizer.model (sentencepiece_file.h) or Hugging Face's tokenizer.json (tokenizer_json.h). Added
// tokens and what is special are the Tokenizer's. Immutable once read; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/token_flags.h"

namespace erne::text {

// Of what a file may say.
inline constexpr TokenId kMaxTokenId = 1 << 24;
inline constexpr size_t kMaxPieceBytes = 1024;

// "<0x0A>" -> 10; -1 for what is no byte piece's text.
int byte_of_piece(std::string_view text);

struct Vocabulary {
  enum class Kind : uint8_t {
    kNone,     // no token has this id
    kText,     // a piece of text, spaces written as U+2581
    kByte,     // "<0x0A>": one byte of a character that has no piece
    kControl,  // never in a text: <s>
    kUnknown,  // <unk>
  };
  struct Piece {
    std::string text;
    Kind kind = Kind::kNone;
  };

  std::vector<Piece> pieces;                     // by id
  std::unordered_map<std::string, TokenId> ids;  // of the pieces' texts
  std::array<TokenId, 256> bytes;                // of byte pieces; all -1 where there are none
  TokenId unknown = -1;                          // for what no piece can write; -1: left out
  std::vector<AddedToken> added;                 // those the file itself lists

  bool fuses_unknown = true;  // neighbours that no piece can write are one <unk>

  // Before pieces are looked for. Bytes that are not UTF-8 become U+FFFD.
  std::function<std::string(std::string_view text)> normalize;
  bool keeps_length = true;  // normalize drops and shortens nothing
  // Then, of what is between added tokens; null: nothing. `at_start`: no text comes before it.
  std::function<std::string(std::string text, bool at_start)> mark_words;
  AddedTokens whole;          // pieces found in a normalised text before any are joined
  bool splits_words = false;  // nothing is joined across the beginning of a space mark
  bool tries_whole_words =
      false;  // a text that is one piece is that piece, whatever its merges say
  Bpe bpe;

  Vocabulary() { bytes.fill(-1); }
  // Adds a piece and its text's id; the first piece of a text keeps it.
  void set_piece(TokenId id, std::string text, Kind kind);
  bool has_bytes() const;  // all 256 of them
  // Encodes a normalised text with its words marked; see Bpe::encode.
  void encode(std::string_view normalized, const Bpe::IsWanted& is_wanted,
              const Bpe::Sink& sink) const;
};

}  // namespace erne::text
