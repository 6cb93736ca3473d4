#include "text/character_classes.h"

#include <erne_rs.h>

#include <cstdint>

#include "base/utf8.h"

namespace erne::text {
namespace {

constexpr Character kNone = {0xFFFD, 1};  // a byte that is no character

Character first_of(std::string_view text) {
  return utf8_step(text).valid ? first_character(text) : kNone;
}

Character last_of(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && continues_character(text[begin])) --begin;
  const Character last = first_of(text.substr(begin));
  return begin + last.length == text.size() ? last : kNone;
}

}  // namespace

size_t white_space_at_end(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    const Character c = last_of(text.substr(0, text.size() - length));
    if (!erne_is_white_space(c.code)) break;
    length += c.length;
  }
  return length;
}

size_t white_space_at_start(std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    const Character c = first_of(text.substr(length));
    if (!erne_is_white_space(c.code)) break;
    length += c.length;
  }
  return length;
}

bool ends_in_word(std::string_view text) {
  return !text.empty() && erne_is_word_character(last_of(text).code);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && erne_is_word_character(first_of(text).code);
}

}  // namespace erne::text
