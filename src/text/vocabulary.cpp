#include "text/vocabulary.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/sentencepiece_normalizer.h"

namespace erne::text {
namespace {

constexpr size_t kAskEveryWords = 1024;

}  // namespace

int byte_of_piece(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  const size_t high = kDigits.find(text[3]), low = kDigits.find(text[4]);
  return high < 16 && low < 16 ? static_cast<int>(high * 16 + low) : -1;
}

void Vocabulary::set_piece(TokenId id, std::string text, Kind kind) {
  if (static_cast<size_t>(id) >= pieces.size()) pieces.resize(static_cast<size_t>(id) + 1);
  ids.try_emplace(text, id);
  pieces[static_cast<size_t>(id)] = {std::move(text), kind};
}

bool Vocabulary::has_bytes() const {
  return std::all_of(bytes.begin(), bytes.end(), [](TokenId id) { return id >= 0; });
}

void Vocabulary::encode(std::string_view normalized, const Bpe::IsWanted& is_wanted,
                        const Bpe::Sink& sink) const {
  const auto say = [&](std::string_view text) {
    if (text.empty()) return;
    const auto piece = tries_whole_words ? ids.find(std::string(text)) : ids.end();
    if (piece != ids.end()) return sink(piece->second, text);
    bpe.encode(text, is_wanted, sink);
  };
  const auto say_words = [&](std::string_view text) {
    if (!splits_words) return say(text);
    for (size_t word = 0; !text.empty(); ++word) {
      if (word % kAskEveryWords == kAskEveryWords - 1 && !is_wanted()) return;
      const size_t end = std::min(text.find(kSpaceMark, 1), text.size());
      say(text.substr(0, end));
      text.remove_prefix(end);
    }
  };
  size_t begin = 0;
  while (const auto found = whole.find(normalized, begin, Specials::kParse)) {
    say_words(normalized.substr(begin, found->begin - begin));
    sink(found->id, normalized.substr(found->begin, found->end - found->begin));
    begin = found->end;
  }
  say_words(normalized.substr(begin));
}

}  // namespace erne::text
