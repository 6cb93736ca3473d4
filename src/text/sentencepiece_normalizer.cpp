#include "text/sentencepiece_normalizer.h"

#include <cstring>

#include "base/utf8.h"

namespace erne::text {
namespace {

constexpr size_t kMaxTableBytes = 4 << 20;  // the largest table SentencePiece ships is 0.25 MB

// A unit of the double array: unit i leads, by byte c, to unit i ^ offset(i) ^ c, if that one's
// label is c. A search reads every such unit before it compares labels, so all 256 have to exist.
bool has_leaf(uint32_t unit) {
  return ((unit >> 8) & 1) == 1;
}
uint32_t value(uint32_t unit) {
  return unit & 0x7FFFFFFF;
}
uint32_t label(uint32_t unit) {
  return unit & ((1u << 31) | 0xFF);
}
size_t offset(uint32_t unit) {
  return static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

}  // namespace

Result<CharacterMap> CharacterMap::parse(std::string_view bytes) {
  CharacterMap map;
  if (bytes.empty()) return map;
  const Status damaged = invalid("the normalisation table is damaged");
  if (bytes.size() > kMaxTableBytes) return invalid("the normalisation table is too large");
  uint32_t array_bytes = 0;
  if (bytes.size() <= sizeof(array_bytes)) return damaged;
  std::memcpy(&array_bytes, bytes.data(), sizeof(array_bytes));
  bytes.remove_prefix(sizeof(array_bytes));
  if (array_bytes == 0 || array_bytes >= bytes.size() || array_bytes % sizeof(uint32_t) != 0)
    return damaged;
  map.units_.resize(array_bytes / sizeof(uint32_t));
  std::memcpy(map.units_.data(), bytes.data(), array_bytes);
  map.texts_ = bytes.substr(array_bytes);
  if (map.texts_.back() != '\0' || !map.is_sound()) return damaged;
  return map;
}

// True if no search can leave the array, and every value it finds is a place in the texts where a
// character begins.
bool CharacterMap::is_sound() const {
  if (!is_valid_utf8(texts_)) return false;
  std::vector<bool> seen(units_.size());
  std::vector<size_t> open = {0};
  seen[0] = true;
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    const size_t base = node ^ offset(units_[node]);
    if ((base | 0xFF) >= units_.size()) return false;
    if (has_leaf(units_[node])) {
      const size_t text = value(units_[base]);
      if (text >= texts_.size() || continues_character(texts_[text])) return false;
    }
    for (uint32_t byte = 1; byte < 256; ++byte) {
      const size_t child = base ^ byte;
      if (label(units_[child]) != byte || seen[child]) continue;
      seen[child] = true;
      open.push_back(child);
    }
  }
  return true;
}

CharacterMap::Match CharacterMap::longest_at(std::string_view text) const {
  Match longest;
  if (units_.empty()) return longest;
  size_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (byte == 0 || label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (has_leaf(unit)) longest = {i + 1, texts_.c_str() + value(units_[node])};
  }
  return longest;
}

SentencePieceNormalizer::Step SentencePieceNormalizer::step(std::string_view rest) const {
  if (const auto whole = untouched.longest_at(rest, Specials::kParse))
    return {rest.substr(0, whole->length), whole->length};
  if (const auto match = map.longest_at(rest); match.length > 0)
    return {match.replacement, match.length};
  const Utf8Step character = utf8_step(rest);
  return {character.valid ? rest.substr(0, character.length) : kReplacementCharacter,
          character.length};
}

std::string SentencePieceNormalizer::normalize(std::string_view text) const {
  std::string out;
  const std::string_view space = escape_whitespaces ? kSpaceMark : " ";
  if (remove_extra_whitespaces) {
    while (!text.empty()) {
      const Step first = step(text);
      if (first.text != " ") break;
      text.remove_prefix(first.length);
    }
  }
  if (text.empty()) return out;
  if (add_dummy_prefix && !whitespace_is_suffix) out += space;
  bool after_space = remove_extra_whitespaces;
  while (!text.empty()) {
    Step next = step(text);
    text.remove_prefix(next.length);
    while (after_space && next.text.starts_with(' ')) next.text.remove_prefix(1);
    for (const char c : next.text) {
      if (c == ' ') {
        out += space;
      } else {
        out += c;
      }
    }
    if (!next.text.empty()) after_space = remove_extra_whitespaces && next.text.ends_with(' ');
  }
  while (remove_extra_whitespaces && out.ends_with(space)) out.resize(out.size() - space.size());
  if (add_dummy_prefix && whitespace_is_suffix) out += space;
  return out;
}

}  // namespace erne::text
