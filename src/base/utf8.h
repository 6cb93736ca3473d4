// Reading UTF-8 one character at a time, strictly (RFC 3629: no surrogates, no overlong forms).
#pragma once

#include <cstddef>
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

}  // namespace erne
