#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace erne {
namespace {

struct Range {
  unsigned char low, high;
};

// What the second byte may be after a given lead byte: this is where overlong forms, surrogates and
// code points beyond U+10FFFF are told apart.
Range second_byte(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Bytes at the beginning, eight at a time, that are ASCII.
size_t ascii_words(std::string_view text) {
  size_t count = 0;
  for (uint64_t word = 0; text.size() - count >= sizeof(word); count += sizeof(word)) {
    std::memcpy(&word, text.data() + count, sizeof(word));
    if ((word & 0x8080808080808080u) != 0) break;
  }
  return count;
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = sequence_length(lead);
  if (length == 0) return {1, false, false};
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {1, false, true};
    const auto byte = static_cast<unsigned char>(text[i]);
    const Range range = i == 1 ? second_byte(lead) : Range{0x80, 0xBF};
    if (byte < range.low || byte > range.high) return {1, false, false};
  }
  return {length, true, false};
}

void append_character(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static constexpr unsigned char kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLead[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(ascii_words(text));
    if (text.empty()) return true;
    const Utf8Step step = utf8_step(text);
    if (!step.valid) return false;
    text.remove_prefix(step.length);
  }
  return true;
}

}  // namespace erne
