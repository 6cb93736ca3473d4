#include "http/ledger.h"

#include <gtest/gtest.h>

namespace erne::http {
namespace {

using Answer = Ledger::Answer;

TEST(Ledger, BoundsConnectionsInAllAndPerClient) {
  Ledger ledger({3, 2, 0, 0});
  EXPECT_EQ(ledger.enter("a"), Answer::kYes);
  EXPECT_EQ(ledger.enter("a"), Answer::kYes);
  EXPECT_EQ(ledger.enter("a"), Answer::kClientFull);
  EXPECT_EQ(ledger.enter("b"), Answer::kYes);
  EXPECT_EQ(ledger.enter("c"), Answer::kFull);
  ledger.leave("a");
  EXPECT_EQ(ledger.enter("c"), Answer::kYes);
  EXPECT_EQ(ledger.num_connections(), 3);
}

TEST(Ledger, LowersItsBoundsUnderWhatIsHeld) {
  Ledger ledger({.connections = 9, .client_connections = 9, .bytes = 100, .client_bytes = 60});
  EXPECT_EQ(ledger.take("a", 50), Ledger::Answer::kYes);
  ledger.lower_bytes(40, 30);
  EXPECT_EQ(ledger.take("b", 1), Ledger::Answer::kFull);
  ledger.give_back("a", 50);
  EXPECT_EQ(ledger.take("b", 31), Ledger::Answer::kClientFull);
  EXPECT_EQ(ledger.take("b", 30), Ledger::Answer::kYes);
  EXPECT_EQ(ledger.take("a", 11), Ledger::Answer::kFull);
  ledger.lower_bytes(1000, 1000);
  EXPECT_EQ(ledger.take("a", 11), Ledger::Answer::kFull);
}

TEST(Ledger, CountsBytesAndForgetsThemWithTheirCharge) {
  const auto ledger = std::make_shared<Ledger>(Ledger::Bounds{9, 9, 100, 60});
  {
    Charge a(ledger, "a"), more_of_a(ledger, "a"), b(ledger, "b");
    EXPECT_EQ(a.set(50), Answer::kYes);
    EXPECT_EQ(more_of_a.set(20), Answer::kClientFull);
    EXPECT_EQ(b.set(51), Answer::kFull);
    EXPECT_EQ(a.set(10), Answer::kYes);
    EXPECT_EQ(b.set(51), Answer::kYes);
    EXPECT_EQ(more_of_a.set(39), Answer::kYes);
    EXPECT_EQ(ledger->num_bytes(), 100u);
  }
  EXPECT_EQ(ledger->num_bytes(), 0u);
}

}  // namespace
}  // namespace erne::http
