#include "exec/ngram_drafter.h"

#include <gtest/gtest.h>

#include <vector>

namespace erne::exec {
namespace {

using Tokens = std::vector<sched::TokenId>;

// The same proposal, however much of the history the present step has added.
Tokens propose(const Tokens& text, const NgramOptions& options) {
  const NgramDrafter drafter(options);
  const Tokens whole = drafter.propose({text, 1});
  for (size_t accepted = 1; accepted < text.size(); ++accepted) {
    const std::span all(text);
    EXPECT_EQ(drafter.propose({all.first(text.size() - accepted), 1, all.last(accepted)}), whole);
  }
  return whole;
}

TEST(NgramDrafter, ProposesWhatCameAfterTheSameTokens) {
  EXPECT_EQ(propose({1, 2, 3, 4, 5, 9, 1, 2}, {.max_drafts = 3}), (Tokens{3, 4, 5}));
  EXPECT_EQ(propose({1, 2, 3, 4, 5, 9, 1, 2}, {.max_drafts = 1}), (Tokens{3}));
}

TEST(NgramDrafter, PrefersTheLongerEndingThenTheLaterPlace) {
  EXPECT_EQ(propose({7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2}, {.max_drafts = 1}), (Tokens{3}));
  EXPECT_EQ(propose({8, 1, 2, 3, 6, 1, 2, 4, 7, 1, 2}, {.max_drafts = 1}), (Tokens{4}));
  // A longer ending than is compared counts for nothing.
  EXPECT_EQ(propose({7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2}, {.max_drafts = 1, .longest = 2}),
            (Tokens{4}));
}

TEST(NgramDrafter, HasNoIdeaWhereTooLittleIsAlike) {
  EXPECT_EQ(propose({1, 2, 3, 4}, {.max_drafts = 3}), Tokens{});
  EXPECT_EQ(propose({5, 2, 3, 9, 2}, {.max_drafts = 3}), Tokens{});
  EXPECT_EQ(propose({5, 2, 3, 9, 2}, {.max_drafts = 2, .shortest = 1}), (Tokens{3, 9}));
  EXPECT_EQ(propose({5}, {.max_drafts = 3, .shortest = 1}), Tokens{});
  EXPECT_EQ(propose({}, {.max_drafts = 3, .shortest = 1}), Tokens{});
}

TEST(NgramDrafter, ACircleGoesOn) {
  EXPECT_EQ(propose({4, 5, 6, 4, 5, 6, 4, 5}, {.max_drafts = 5}), (Tokens{6, 4, 5, 6, 4}));
  EXPECT_EQ(propose({9, 7, 7, 7}, {.max_drafts = 4}), (Tokens{7, 7, 7, 7}));
}

}  // namespace
}  // namespace erne::exec
