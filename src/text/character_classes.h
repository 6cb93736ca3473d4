// What counts as white space and as part of a word where an added token's flags ask.
#pragma once

#include <string_view>

namespace erne::text {

// Bytes of white space (Unicode's White_Space) at the end and at the beginning of a UTF-8 text.
size_t white_space_at_end(std::string_view text);
size_t white_space_at_start(std::string_view text);

// Whether the text ends or begins with a letter, mark, digit or underscore.
bool ends_in_word(std::string_view text);
bool starts_with_word(std::string_view text);

}  // namespace erne::text
