#include "text/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

namespace erne::text {
namespace {

struct Outcome {
  std::string text;
  std::string stop;  // empty: none
  bool operator==(const Outcome&) const = default;
};

// The definition, in plain loops: the first end of a stop, and the longest stop that ends there.
Outcome expected(const std::string& text, const std::vector<std::string>& stops,
                 bool include_stop) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string longest;
    for (const std::string& stop : stops)
      if (text.substr(0, end).ends_with(stop) && stop.size() > longest.size()) longest = stop;
    if (!longest.empty())
      return {text.substr(0, include_stop ? end : end - longest.size()), longest};
  }
  return {text, ""};
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopMatcher matcher({"</end>", "\n\n"}, false);
  EXPECT_EQ(matcher.push("one < two"), "one < two");
  EXPECT_EQ(matcher.push(" </en"), " ");
  EXPECT_EQ(matcher.push("try\n"), "</entry");
  EXPECT_EQ(matcher.push(""), "");
  EXPECT_EQ(matcher.push("x"), "\nx");
  EXPECT_EQ(matcher.push("y</e"), "y");
  EXPECT_EQ(matcher.push("nd>z"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.matched_stop(), "</end>");
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, AtTheEndNothingIsHeldBack) {
  StopMatcher matcher({"stop"}, false);
  EXPECT_EQ(matcher.push("a sto"), "a ");
  EXPECT_EQ(matcher.finish(), "sto");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, TheStopIsPartOfTheTextIfAskedFor) {
  StopMatcher matcher({"END"}, true);
  EXPECT_EQ(matcher.push("the E"), "the ");
  EXPECT_EQ(matcher.push("ND."), "END");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, OfStopsThatEndTogetherTheLongestCounts) {
  StopMatcher matcher({"c", "abc", "bc"}, false);
  EXPECT_EQ(matcher.push("xabcd"), "x");
  EXPECT_EQ(matcher.matched_stop(), "abc");
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, TheCutsOfTheTextDoNotMatter) {
  std::mt19937 random(4);
  const auto word = [&](size_t most) {  // few letters, so that beginnings and overlaps abound
    std::string text;
    for (size_t n = 1 + random() % most; n > 0; --n) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  int num_matched = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> stops;
    for (size_t n = random() % 4; n > 0; --n) stops.push_back(word(6));
    const std::string text = word(24);
    const bool include_stop = random() % 2 == 0;
    StopMatcher matcher(stops, include_stop);
    std::string sent;
    for (size_t at = 0; at < text.size();) {
      const size_t length = std::min<size_t>(random() % 5, text.size() - at);
      sent += matcher.push(text.substr(at, length));
      at += length;
      size_t longest = 0;
      for (const std::string& stop : stops) longest = std::max(longest, stop.size());
      const size_t held = matcher.matched() ? 0 : at - sent.size();
      ASSERT_LT(held, std::max<size_t>(longest, 1));
    }
    sent += matcher.finish();
    num_matched += matcher.matched();
    const Outcome found = {sent, matcher.matched() ? matcher.matched_stop() : ""};
    ASSERT_EQ(found, expected(text, stops, include_stop)) << text;
  }
  EXPECT_GT(num_matched, 5'000);
}

}  // namespace
}  // namespace erne::text
