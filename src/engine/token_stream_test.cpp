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

// A client that does not read.
TEST(TokenStream, WhatWaitsLongIsJoinedAndNothingIsLost) {
  TokenStream stream(nullptr);
  constexpr int kCount = 1000;
  for (int i = 0; i < kCount; ++i) {
    StreamEvent next = event(i);
    next.event.logprobs = {{{i, -1.0f}, {}}};
    next.event.prompt_logprobs = {{{-i, -1.0f}, {}}};
    next.event.cached_tokens = 7;
    next.emitted_us = i;
    if (i + 1 == kCount) next.event.finish = sched::FinishReason::kLength;
    stream.push(std::move(next));
  }
  size_t num_events = 0;
  int expected = 0;
  while (const auto got = stream.next()) {
    ++num_events;
    ASSERT_EQ(got->event.tokens.size(), got->event.logprobs.size());
    ASSERT_EQ(got->event.tokens.size(), got->event.prompt_logprobs.size());
    for (size_t i = 0; i < got->event.tokens.size(); ++i, ++expected) {
      EXPECT_EQ(got->event.tokens[i], expected);
      EXPECT_EQ(got->event.logprobs[i].chosen.token, expected);
      EXPECT_EQ(got->event.prompt_logprobs[i].chosen.token, -expected);
    }
    EXPECT_EQ(got->event.cached_tokens, 7);
    EXPECT_EQ(got->emitted_us, expected - 1);
    EXPECT_EQ(got->event.finish.has_value(), expected == kCount);
  }
  EXPECT_EQ(expected, kCount);
  EXPECT_LE(num_events, TokenStream::kMaxWaitingEvents);
}

TEST(TokenStream, NeedsNobodyToCall) {
  TokenStream stream(nullptr);
  stream.push(event(1));
  EXPECT_TRUE(stream.next().has_value());
}

}  // namespace
}  // namespace erne::engine
