#include <gtest/gtest.h>

#include "engine/engine_client.h"

namespace erne::engine {
namespace {

StreamEvent event(sched::TokenId token) {
  StreamEvent event;
  event.event.tokens = {token};
  return event;
}

TEST(TokenStream, KeepsTheOrderAndCallsWhenItWasEmpty) {
  int calls = 0;
  TokenStream stream([&] { ++calls; });
  EXPECT_FALSE(stream.next().has_value());
  stream.push(event(1));
  stream.push(event(2));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(stream.next()->event.tokens[0], 1);
  stream.push(event(3));
  EXPECT_EQ(calls, 1);  // 2 was still there
  EXPECT_EQ(stream.next()->event.tokens[0], 2);
  EXPECT_EQ(stream.next()->event.tokens[0], 3);
  EXPECT_FALSE(stream.next().has_value());
  stream.push(event(4));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(stream.next()->event.tokens[0], 4);
}

TEST(TokenStream, NeedsNobodyToCall) {
  TokenStream stream(nullptr);
  stream.push(event(1));
  EXPECT_TRUE(stream.next().has_value());
}

}  // namespace
}  // namespace erne::engine
