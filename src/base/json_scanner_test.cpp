#include "base/json_scanner.h"

#include <gtest/gtest.h>

#include "base/counter_rng.h"
#include "base/json.h"

namespace erne {
namespace {

// Whether all of it was taken, and it is complete.
bool scans(std::string_view text) {
  JsonScanner scanner;
  for (const char c : text)
    if (!scanner.push(c)) return false;
  return scanner.complete();
}

TEST(JsonScanner, TellsKeysValuesAndWhatIsAround) {
  const std::string_view text = R"({ "a":1.5e3 , "b":{"c": ["}\"",true]},"d":null})";
  const std::string_view parts = "aakkkavvvvvaaakkkavvvvvvvvvvvvvvvvvvvakkkavvvva";
  ASSERT_EQ(text.size(), parts.size());
  JsonScanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    ASSERT_TRUE(scanner.push(text[i])) << i;
    EXPECT_EQ("akv"[static_cast<int>(scanner.part())], parts[i]) << i;
  }
  EXPECT_TRUE(scanner.complete());
  EXPECT_TRUE(scanner.push(' '));
  EXPECT_FALSE(scanner.push('{'));
}

TEST(JsonScanner, TakesWhatTheParserTakes) {
  constexpr std::string_view kPieces[] = {
      "{", "}",  "[",      "]",        ",",   ":",  "\"k\"", "\"\\u00e9\"", "\"\\x\"",
      "0", "-",  "12",     ".5",       "e-3", "E",  "true",  "nul",         "null",
      " ", "\n", "\"a\":", "\"b\": 1", "{}",  "[]", "\""};
  const CounterRng rng(11, 0);
  uint64_t draws = 0;
  const auto below = [&](uint32_t n) { return rng.words(draws++)[0] % n; };
  int num_valid = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text = "{";
    for (uint32_t n = below(7); n > 0; --n) text += kPieces[below(std::size(kPieces))];
    if (below(2) == 0) text += "}";
    const bool valid = Json::parse(text).ok();
    num_valid += valid;
    ASSERT_EQ(scans(text), valid) << text;
  }
  EXPECT_GT(num_valid, 3000);
}

TEST(JsonScanner, KnowsWhenOnlyTheLastBraceIsMissing) {
  for (const auto& [text, lacks] :
       std::initializer_list<std::pair<std::string_view, bool>>{{"{\"a\":1", true},
                                                                {"{\"a\":{}", true},
                                                                {"{", false},
                                                                {"{\"a\":1,", false},
                                                                {"{\"a\":[1", false}}) {
    JsonScanner scanner;
    for (const char c : text) ASSERT_TRUE(scanner.push(c));
    EXPECT_EQ(scanner.lacks_brace(), lacks) << text;
  }
}

}  // namespace
}  // namespace erne
