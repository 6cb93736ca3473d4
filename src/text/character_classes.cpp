#include "text/character_classes.h"

#include <erne_rs.h>

#include <cstdint>

#include "base/utf8.h"

namespace erne::text {
namespace {

struct Character {
  uint32_t code = 0xFFFD;  // of bytes that are no character
  size_t length = 1;
};

// The first character of a text that is not empty.
Character first_of(std::string_view text) {
  const Utf8Step step = utf8_step(text);
  if (!step.valid) return {};
  const auto lead = static_cast<unsigned char>(text[0]);
  uint32_t code = step.length == 1 ? lead : lead & (0x7F >> step.length);
  for (size_t i = 1; i < step.length; ++i)
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  return {code, step.length};
}

Character last_of(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 &&
         (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
    --begin;
  const Character last = first_of(text.substr(begin));
  return begin + last.length == text.size() ? last : Character{};
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
