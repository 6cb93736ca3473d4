#include "text/bpe.h"

#include <gtest/gtest.h>

#include <random>

#include "text/sentencepiece_file.h"
#include "text/text_goldens.h"

namespace erne::text {
namespace {

using Parts = std::vector<std::string>;

bool always() {
  return true;
}

Parts parts_of(const Bpe& bpe, std::string_view text) {
  Parts parts;
  bpe.encode(text, always, [&](TokenId, std::string_view part) { parts.emplace_back(part); });
  return parts;
}

// Merges in the order of their ranks, each one over the whole text: the same where every merge
// comes after those that make its parts.
struct Reference {
  std::vector<std::pair<std::string, std::string>> merges;

  Bpe built() const {
    Bpe bpe;
    for (size_t i = 0; i < merges.size(); ++i)
      bpe.add_merge(merges[i].first, merges[i].second, static_cast<int32_t>(i));
    return bpe;
  }

  Parts parts_of(std::string_view text) const {
    Parts parts;
    for (const char c : text) parts.emplace_back(1, c);
    for (const auto& [first, second] : merges) {
      Parts joined;
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool is_pair = i + 1 < parts.size() && parts[i] == first && parts[i + 1] == second;
        joined.push_back(is_pair ? first + second : parts[i]);
        i += is_pair ? 1 : 0;
      }
      parts = std::move(joined);
    }
    return parts;
  }
};

// Few letters, so that any two of them may be joined and no text is ever cut.
Reference random_merges(std::mt19937& random, size_t count) {
  Reference reference;
  std::vector<std::string> known = {"a", "b", "c"};
  while (reference.merges.size() < count) {
    const auto merge = std::pair(known[random() % known.size()], known[random() % known.size()]);
    const std::string joined = merge.first + merge.second;
    if (std::find(known.begin(), known.end(), joined) != known.end()) continue;
    reference.merges.push_back(merge);
    known.push_back(joined);
  }
  return reference;
}

std::string random_letters(std::mt19937& random, size_t length, int letters) {
  std::string text;
  while (text.size() < length) text += static_cast<char>('a' + random() % letters);
  return text;
}

TEST(Bpe, JoinsTheBestPairFirst) {
  Bpe bpe;
  bpe.add_merge("b", "c", 0);
  bpe.add_merge("a", "b", 1);
  bpe.add_merge("a", "bc", 2);
  EXPECT_EQ(parts_of(bpe, "abcab"), (Parts{"abc", "ab"}));
  EXPECT_EQ(parts_of(bpe, "bbc中c"), (Parts{"b", "bc", "中", "c"}));
  EXPECT_EQ(parts_of(bpe, ""), Parts{});
}

TEST(Bpe, AgreesWithMergingTheWholeText) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const Reference reference = random_merges(random, 1 + random() % 12);
    const std::string text = random_letters(random, random() % 60, 3);
    ASSERT_EQ(parts_of(reference.built(), text), reference.parts_of(text)) << text;
  }
}

// Longer than a window: what is encoded in pieces is what the whole would be.
TEST(Bpe, WindowsOfALongRunMeetWithoutATrace) {
  std::mt19937 random(2);
  constexpr size_t kLength = 70'000;
  for (int i = 0; i < 6; ++i) {
    const Reference reference = random_merges(random, 3 + random() % 6);
    const int letters = 1 + i % 3;
    const std::string unit = random_letters(random, 1 + random() % 7, letters);
    std::string text;
    if (i % 2 == 0) {
      text = random_letters(random, kLength, letters);
    } else {
      while (text.size() < kLength) text += unit;
    }
    ASSERT_EQ(parts_of(reference.built(), text), reference.parts_of(text)) << i;
  }
}

TEST(Bpe, EndsWhenTheTextIsNotWantedAnyMore) {
  const Vocabulary vocabulary = read_sentencepiece_model(golden_text("tokenizer.model")).value();
  for (const std::string unit : {"the quick brown fox ", "a", "中文"}) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    size_t said = 0, asked = 0;
    vocabulary.bpe.encode(
        text, [&] { return ++asked < 3; },
        [&](TokenId, std::string_view part) { said += part.size(); });
    EXPECT_EQ(asked, 3u) << unit;
    EXPECT_LT(said, 200'000u) << unit;
  }
}

}  // namespace
}  // namespace erne::text
