// What a SentencePiece model does to a text before it is cut into pieces: characters replaced by a
// table, white space trimmed and joined, spaces written as U+2581. ERNIE's models only do the last.
// Source: NormalizerSpec in sentencepiece_model.proto and the library's normaliser; the table is a
// double array of Darts-clone. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/added_tokens.h"

namespace erne::text {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, how pieces write a space

// A table of texts and what replaces each. All of it is checked when it is read, so that no search
// can leave it.
class CharacterMap {
 public:
  CharacterMap() = default;  // replaces nothing
  // `bytes`: the size of a double array (4 bytes, little endian), the array, and the texts that its
  // values point into, each ended by a NUL. Nothing: an empty table.
  static Result<CharacterMap> parse(std::string_view bytes);

  bool empty() const { return units_.empty(); }
  struct Match {
    size_t length = 0;  // bytes of text; 0: none
    std::string_view replacement;
  };
  Match longest_at(std::string_view text) const;

 private:
  bool is_sound() const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

struct SentencePieceNormalizer {
  CharacterMap map;
  bool add_dummy_prefix = true;  // the defaults of the format
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_is_suffix = false;
  AddedTokens untouched;  // user-defined pieces are not replaced

  // Valid UTF-8 as far as the table's texts are; bytes that are not UTF-8 become U+FFFD.
  std::string normalize(std::string_view text) const;
  // Whether nothing of a text is ever dropped or shortened.
  bool keeps_length() const { return map.empty() && !remove_extra_whitespaces; }

 private:
  struct Step {
    std::string_view text;
    size_t length;  // bytes of input
  };
  Step step(std::string_view rest) const;
};

}  // namespace erne::text
