#include <gtest/gtest.h>

#include <set>

#include "base/counter_rng.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/utf8.h"

namespace erne {
namespace {

TEST(Utf8, StepsOverCharactersAndNamesTheBadBytes) {
  EXPECT_TRUE(is_valid_utf8("aé你😀"));
  EXPECT_FALSE(is_valid_utf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
  EXPECT_TRUE(utf8_step("\xE4\xBD").incomplete);
  EXPECT_FALSE(utf8_step("\xE4X").incomplete);
  EXPECT_EQ(utf8_step("\xE4X").length, 1u);
}

// The known-answer vectors of the Random123 distribution for philox4x32-10.
TEST(CounterRng, IsPhilox) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(CounterRng(0, 0).words(0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint64_t ones = ~uint64_t{0};
  EXPECT_EQ(CounterRng(ones, ones).words(ones),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(CounterRng, IsUniform) {
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double u = CounterRng(7, 1).uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Hash, IsTheSameEverywhere) {
  EXPECT_EQ(hash_bytes("", 0), 0x2d06800538d394c2ull);  // the xxHash specification's value
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(hash_combine(i % 10, i / 10));
  EXPECT_EQ(seen.size(), 1000u);
}

Result<int> half(int x) {
  if (x % 2) return invalid("x is odd", "x");
  return x / 2;
}
Result<int> quarter(int x) {
  return TRY(half(TRY(half(x))));
}

TEST(Result, TryPassesTheStatusOn) {
  EXPECT_EQ(*quarter(8), 2);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).status().param, "x");
}

}  // namespace
}  // namespace erne
