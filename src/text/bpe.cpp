#include "text/bpe.h"

#include <algorithm>

#include "base/utf8.h"

namespace erne::text {
namespace {

// A run of characters that might all be joined is encoded in windows of so many bytes.
constexpr size_t kWindow = 1 << 15;
// So many of a window's last parts are tried as its end.
constexpr size_t kMaxTries = 32;
// Bytes between two questions whether the text is still wanted.
constexpr size_t kAskEvery = 1 << 14;

uint64_t pair(uint32_t a, uint32_t b) {
  return static_cast<uint64_t>(a) << 32 | b;
}

// The code of a valid text's last character.
uint32_t last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (continues_character(text[begin])) --begin;
  return first_character(text.substr(begin)).code;
}

}  // namespace

struct Bpe::Work {
  std::string_view word;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;

  std::vector<std::string_view> parts() const {
    std::vector<std::string_view> parts;
    for (const Symbol& s : symbols)
      if (s.length > 0) parts.push_back(word.substr(s.begin, s.length));
    return parts;
  }
};

Bpe::SymbolId Bpe::symbol(std::string_view text) {
  const auto [known, is_new] =
      symbols_.try_emplace(std::string(text), static_cast<SymbolId>(piece_.size()));
  if (is_new) {
    piece_.push_back(-1);
    const Character c = first_character(text);
    if (c.length == text.size()) characters_.emplace(c.code, known->second);
  }
  return known->second;
}

void Bpe::add_piece(std::string_view text, TokenId id) {
  TokenId& piece = piece_[static_cast<size_t>(symbol(text))];
  if (piece < 0) piece = id;
}

void Bpe::add_merge(std::string_view first, std::string_view second, int32_t rank) {
  const std::string joined = std::string(first).append(second);
  const SymbolId left = symbol(first), right = symbol(second);
  merges_.try_emplace(pair(left, right), Merge{rank, symbol(joined)});
  neighbours_.insert(pair(last_character(first), first_character(second).code));
}

const Bpe::Merge* Bpe::find_merge(SymbolId left, SymbolId right) const {
  if (left < 0 || right < 0) return nullptr;
  const auto found = merges_.find(pair(left, right));
  return found != merges_.end() ? &found->second : nullptr;
}

// Adds the pair of `left` and the symbol behind it, if it may be joined.
void Bpe::consider(int32_t left, Work& work) const {
  if (left < 0 || work.symbols[left].next < 0) return;
  const Symbol& right = work.symbols[work.symbols[left].next];
  const Merge* merge = find_merge(work.symbols[left].id, right.id);
  if (merge == nullptr) return;
  work.heap.push_back({merge->rank, left, merge->result});
  std::push_heap(work.heap.begin(), work.heap.end());
}

// Leaves the word's parts in work.symbols.
void Bpe::join(std::string_view word, Work& work) const {
  auto& symbols = work.symbols;
  work.word = word;
  symbols.clear();
  work.heap.clear();
  for (uint32_t i = 0; i < word.size();) {
    const Character c = first_character(word.substr(i));
    const auto known = characters_.find(c.code);
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({known != characters_.end() ? known->second : -1, index - 1, index + 1, i,
                       static_cast<uint32_t>(c.length)});
    i += c.length;
  }
  symbols.back().next = -1;
  for (size_t i = 0; i < symbols.size(); ++i) consider(static_cast<int32_t>(i), work);

  while (!work.heap.empty()) {
    const Candidate best = work.heap.front();
    std::pop_heap(work.heap.begin(), work.heap.end());
    work.heap.pop_back();
    Symbol& left = symbols[best.left];
    if (left.length == 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->result != best.result) continue;  // one of them has changed
    left.id = best.result;
    left.length += right.length;
    right.length = 0;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    consider(left.previous, work);
    consider(best.left, work);
  }
}

void Bpe::say(std::string_view word, Work& work, const Sink& sink) const {
  join(word, work);
  for (const Symbol& s : work.symbols)
    if (s.length > 0) sink(s.id < 0 ? -1 : piece_[s.id], word.substr(s.begin, s.length));
}

bool Bpe::stays_apart(std::string_view left, std::string_view right, Work& work) const {
  join(std::string_view(left.data(), left.size() + right.size()), work);
  return work.parts() == std::vector{left, right};
}

std::string_view Bpe::window(std::string_view text) {
  size_t end = std::min(kWindow, text.size());
  while (end < text.size() && continues_character(text[end])) --end;
  return text.substr(0, end);
}

// Where a run longer than a window can be cut, so that each piece on its own becomes what it is
// in the whole run; nowhere, if no such places are found.
//
// Parts in a row are what their text becomes if and only if every two neighbours among them stay
// these two when they are encoded on their own: the first merge across a boundary would need
// nothing but the two parts beside it, which grow independently of everything else. The parts of a
// window keep this among themselves, so only the pair where two windows meet is to be tried.
std::vector<size_t> Bpe::cuts_of(std::string_view run, Work& work) const {
  std::vector<size_t> cuts;
  size_t start = 0;
  while (run.size() - start > kWindow) {
    join(window(run.substr(start)), work);
    const auto parts = work.parts();
    const size_t tries = std::min(parts.size() / 2, kMaxTries);
    size_t cut = 0;
    for (size_t i = 0; i < tries && cut == 0; ++i) {
      const std::string_view last = parts[parts.size() - 1 - tries + i];
      const std::string_view rest(last.end(), run.end());
      join(window(rest), work);
      if (stays_apart(last, work.parts().front(), work)) cut = run.size() - rest.size();
    }
    if (cut == 0) return {};
    cuts.push_back(cut);
    start = cut;
  }
  return cuts;
}

// All of `run` may be one part.
bool Bpe::say_run(std::string_view run, Work& work, const IsWanted& is_wanted,
                  const Sink& sink) const {
  size_t start = 0;
  if (run.size() > kWindow) {
    for (const size_t cut : cuts_of(run, work)) {
      if (!is_wanted()) return false;
      say(run.substr(start, cut - start), work, sink);
      start = cut;
    }
  }
  say(run.substr(start), work, sink);
  return true;
}

void Bpe::encode(std::string_view text, const IsWanted& is_wanted, const Sink& sink) const {
  Work work;
  size_t begin = 0, asked = 0;
  uint32_t before = 0;
  for (size_t i = 0; i < text.size();) {
    const Character c = first_character(text.substr(i));
    if (i > begin && !neighbours_.contains(pair(before, c.code))) {
      if (!say_run(text.substr(begin, i - begin), work, is_wanted, sink)) return;
      begin = i;
    }
    before = c.code;
    i += c.length;
    if (i - asked > kAskEvery) {
      if (!is_wanted()) return;
      asked = i;
    }
  }
  if (begin < text.size()) say_run(text.substr(begin), work, is_wanted, sink);
}

}  // namespace erne::text
