#include "bench/sse_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace erne::bench {
namespace {

using testing::ElementsAre;

// The events of `stream` when it arrives in pieces of `piece` bytes.
std::vector<std::string> events_of(std::string_view stream, size_t piece) {
  SseParser parser;
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size(); at += piece) {
    const auto fed = parser.feed(stream.substr(at, piece),
                                 [&](std::string_view data) { events.emplace_back(data); });
    EXPECT_TRUE(fed.ok());
  }
  return events;
}

TEST(SseParser, SameEventsInEveryCut) {
  const std::string_view stream =
      ": a comment\r\n"
      "data: {\"a\":1} \n\n"  // FastDeploy's space before the newlines stays
      "event: x\ndata:no space\n\n"
      "data: two\r\ndata: lines\r\n\r\n"
      "data\r\r"         // a field without a colon: empty data
      "id: 7\n\n"        // no data: no event
      "database: x\n\n"  // another field's name
      "data: [DONE]\n\n"
      "data: cut off";  // never completed
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    EXPECT_THAT(events_of(stream, piece),
                ElementsAre("{\"a\":1} ", "no space", "two\nlines", "", "[DONE]"))
        << "in pieces of " << piece;
  }
}

TEST(SseParser, RefusesAnEndlessEvent) {
  const auto ignore = [](std::string_view) {};
  SseParser long_line(16);
  EXPECT_TRUE(long_line.feed("data: 0123456789", ignore).ok());
  EXPECT_FALSE(long_line.feed("x", ignore).ok());

  SseParser many_lines(16);
  Result<void> fed;
  for (int i = 0; i < 8 && fed.ok(); ++i) fed = many_lines.feed("data: abc\n", ignore);
  ASSERT_FALSE(fed.ok());
  EXPECT_EQ(fed.status().message, "an event of the stream is larger than 16 bytes");
}

}  // namespace
}  // namespace erne::bench
