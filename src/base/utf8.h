// UTF-8, one character at a time, read strictly (RFC 3629: no surrogates, no overlong forms).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace erne {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Step {
  size_t length;    // bytes to advance; at least 1 for a non-empty text
  bool valid;       // these bytes are one character
  bool incomplete;  // not valid, but the text ends inside what could still become a character
};

// Looks at the first character of a non-empty text. Of invalid bytes, one is taken at a time.
Utf8Step utf8_step(std::string_view text);

bool is_valid_utf8(std::string_view text);

struct Character {
  uint32_t code;  // of Unicode, below 0x110000
  size_t length;  // bytes
};

// The first character of a text that begins with a valid one: utf8_step() tells.
inline Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint32_t code = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i)
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  return {code, length};
}

// A byte that goes on with the character before it.
inline bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

// `code` is a character's: below 0x110000 and no surrogate.
void append_character(std::string& out, uint32_t code);

}  // namespace erne
