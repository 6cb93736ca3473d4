#include "exec/verifier.h"

#include <gtest/gtest.h>

#include <vector>

namespace erne::exec {
namespace {

using Tokens = std::vector<sched::TokenId>;

// What is accepted where `sampled` is what the model says after each draft.
Tokens accepted(const Tokens& drafts, const Tokens& sampled) {
  Verifier verifier(drafts);
  for (size_t i = 0; verifier.wants_token(); ++i) verifier.take(sampled.at(i));
  return {verifier.accepted().begin(), verifier.accepted().end()};
}

TEST(Verifier, WithoutDraftsThereIsOneToken) {
  EXPECT_EQ(accepted({}, {5, 6}), Tokens{5});
}

TEST(Verifier, AcceptsDraftsUpToTheFirstThatIsWrong) {
  EXPECT_EQ(accepted({5, 6, 7}, {5, 6, 7, 8}), (Tokens{5, 6, 7, 8}));
  EXPECT_EQ(accepted({5, 6, 7}, {5, 6, 9, 8}), (Tokens{5, 6, 9}));
  EXPECT_EQ(accepted({5, 6, 7}, {5, 9, 7, 8}), (Tokens{5, 9}));
  EXPECT_EQ(accepted({5, 6, 7}, {9, 6, 7, 8}), (Tokens{9}));
}

TEST(Verifier, TakesNothingOnceItIsOver) {
  const Tokens drafts = {5};
  Verifier verifier(drafts);
  verifier.take(4);
  EXPECT_FALSE(verifier.wants_token());
  EXPECT_DEATH(verifier.take(5), "is_over_");
}

}  // namespace
}  // namespace erne::exec
