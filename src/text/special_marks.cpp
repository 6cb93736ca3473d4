#include "text/special_marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/utf8.h"
#include "text/character_classes.h"

namespace erne::text {
namespace {

// Four UTF-8 bytes hold a character of plane 15 or 16 as its plane and the 16 bits below.
constexpr size_t kPrivateBytes = 4;
constexpr uint32_t kEscape = 0xFFFD;  // in plane 16: the next character, one plane up
constexpr size_t kMaxMarks = 0xF000;

std::string private_character(uint32_t plane, uint32_t low) {
  std::string character;
  append_character(character, plane << 16 | low);
  return character;
}

// The 16 bits of the character of `plane` that starts here; -1 if another one does.
int64_t private_at(std::string_view text, uint32_t plane) {
  if (text.size() < kPrivateBytes || static_cast<unsigned char>(text[0]) < 0xF3) return -1;
  if (!utf8_step(text).valid) return -1;
  const uint32_t c = first_character(text).code;
  return c >> 16 == plane ? int64_t{c & 0xFFFF} : -1;
}

bool has_punctuation(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::ispunct(c) != 0 && c != '_'; });
}

}  // namespace

SpecialMarks::SpecialMarks(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {
  for (TokenId id = 0; id < tokenizer.size() && specials_.size() < kMaxMarks; ++id) {
    if (!tokenizer.is_special(id) || !has_punctuation(tokenizer.token_bytes(id))) continue;
    mark_of_[id] = specials_.size();
    specials_.push_back(id);
  }
}

Result<std::string> SpecialMarks::mark(std::string_view text) const {
  std::string marked;
  while (!text.empty()) {
    if (private_at(text, 16) >= 0)
      return invalid("the chat template holds a character of Unicode's plane 16 (private use)");
    size_t length = utf8_step(text).length;
    const auto added = tokenizer_->added_token_at(text);
    if (added) length = added->length;
    const auto mark = added ? mark_of_.find(added->id) : mark_of_.end();
    if (mark != mark_of_.end()) {
      marked += private_character(16, static_cast<uint32_t>(mark->second));
    } else {
      marked += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return marked;
}

std::string SpecialMarks::escape_text(std::string_view text) const {
  std::string escaped;
  escaped.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const int64_t low = private_at(text.substr(i), 16);
    if (low >= 0) {
      escaped += private_character(16, kEscape);
      escaped += private_character(15, static_cast<uint32_t>(low));
      i += kPrivateBytes;
    } else {
      escaped += text[i++];
    }
  }
  return escaped;
}

Json SpecialMarks::escape(const Json& value) const {
  if (value.is_string()) return escape_text(value.as_string());
  if (value.is_array()) {
    Json::Array escaped;
    for (const Json& item : value.as_array()) escaped.push_back(escape(item));
    return escaped;
  }
  if (value.is_object()) {
    Json::Object escaped;
    for (const auto& [key, item] : value.as_object())
      escaped.emplace_back(escape_text(key), escape(item));
    return escaped;
  }
  return value;
}

template <class OnText, class OnSpecial>
void SpecialMarks::walk(std::string_view rendered, OnText text, OnSpecial special) const {
  std::string between;
  while (!rendered.empty()) {
    const int64_t low = private_at(rendered, 16);
    if (low < 0) {
      // Plane 16 is all that begins with this byte.
      const size_t length = std::min(rendered.find('\xF4', 1), rendered.size());
      between += rendered.substr(0, length);
      rendered.remove_prefix(length);
      continue;
    }
    rendered.remove_prefix(kPrivateBytes);
    if (low == kEscape) {  // one whose second half a template cut off stands for nothing
      const int64_t escaped = private_at(rendered, 15);
      if (escaped < 0) continue;
      between += private_character(16, static_cast<uint32_t>(escaped));
      rendered.remove_prefix(kPrivateBytes);
    } else if (static_cast<size_t>(low) < specials_.size()) {  // others nobody can have written
      text(between);
      between.clear();
      special(specials_[low]);
    }
  }
  text(between);
}

Result<std::vector<TokenId>> SpecialMarks::encode(std::string_view rendered,
                                                  const EncodeLimits& limits) const {
  std::vector<TokenId> ids;
  Status failed{Code::kInternal, ""};
  bool has_failed = false, at_start = true;
  std::string held;   // text whose end the next special token may take
  TokenFlags before;  // of the special token before it
  const auto say = [&](const TokenFlags& behind) {
    std::string_view text = held;
    if (before.rstrip) text.remove_prefix(white_space_at_start(text));
    if (behind.lstrip) text.remove_suffix(white_space_at_end(text));
    if (has_failed || text.empty()) return;
    const size_t left = limits.max_tokens - std::min(limits.max_tokens, ids.size());
    const auto part =
        tokenizer_->encode_within(text, Specials::kAsText, {left, limits.is_wanted}, at_start);
    has_failed = !part.ok();
    if (has_failed) {
      failed = part.status();
    } else {
      ids.insert(ids.end(), part->begin(), part->end());
    }
  };
  walk(
      rendered, [&](std::string_view text) { held = text; },
      [&](TokenId id) {
        const TokenFlags flags = tokenizer_->flags(id);
        say(flags);
        ids.push_back(id);
        before = flags;
        at_start = false;
      });
  say({});
  const bool is_too_long =
      has_failed ? failed.code == Code::kTooLong : ids.size() > limits.max_tokens;
  if (is_too_long) return too_many_tokens(limits.max_tokens);
  if (has_failed) return failed;
  return ids;
}

std::vector<TokenId> SpecialMarks::specials(std::string_view rendered) const {
  std::vector<TokenId> ids;
  walk(rendered, [](std::string_view) {}, [&](TokenId id) { ids.push_back(id); });
  return ids;
}

std::string SpecialMarks::spell_out(std::string_view rendered) const {
  std::string spelled;
  walk(
      rendered, [&](std::string_view text) { spelled += text; },
      [&](TokenId id) { spelled += tokenizer_->token_bytes(id); });
  return spelled;
}

}  // namespace erne::text
