#include "http/connection_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct FakeSink final : ResponseSink {
  void send(std::string_view bytes, bool end) override {
    sent += bytes;
    ended |= end;
  }
  bool writable() override { return true; }
  bool draining() const override { return is_draining; }
  std::string sent;
  bool ended = false, is_draining = false;
};

struct FakeListener final : ExchangeListener {
  void on_gone() override { ++num_gone; }
  void on_writable() override {}
  int num_gone = 0;
};

TEST(ConnectionExchange, TellsItsListenerOfADepartureOnce) {
  const auto sink = std::make_shared<FakeSink>();
  ConnectionExchange exchange(sink, {}, {}, nullptr);
  const auto listener = std::make_shared<FakeListener>();
  exchange.listen(listener);
  exchange.over(/*complete=*/false);
  exchange.over(/*complete=*/false);
  EXPECT_EQ(listener->num_gone, 1);
  const auto late = std::make_shared<FakeListener>();
  exchange.listen(late);
  EXPECT_EQ(late->num_gone, 1);
}

TEST(ConnectionExchange, ACompleteAnswerIsNoDeparture) {
  ConnectionExchange exchange(std::make_shared<FakeSink>(), {}, {}, nullptr);
  const auto listener = std::make_shared<FakeListener>();
  exchange.listen(listener);
  exchange.over(/*complete=*/true);
  exchange.listen(listener);
  EXPECT_EQ(listener->num_gone, 0);
}

TEST(ConnectionExchange, ChunksAreFramedAndEmptyOnesLeftOut) {
  const auto sink = std::make_shared<FakeSink>();
  ConnectionExchange exchange(sink, {}, {}, nullptr);
  exchange.begin_stream({.content_type = "text/event-stream"});
  exchange.write("0123456789abcdef");
  exchange.write("");
  exchange.finish();
  EXPECT_THAT(sink->sent, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(sink->sent, HasSubstr("\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
  EXPECT_TRUE(sink->ended);
}

TEST(ConnectionExchange, ADrainingServerClosesConnections) {
  const auto sink = std::make_shared<FakeSink>();
  sink->is_draining = true;
  ConnectionExchange exchange(sink, {}, {}, nullptr);
  exchange.respond({.body = "x"});
  EXPECT_THAT(sink->sent, HasSubstr("Connection: close\r\n"));
}

TEST(ConnectionExchange, HeadHasNoBody) {
  const auto sink = std::make_shared<FakeSink>();
  Request request;
  request.method = "HEAD";
  ConnectionExchange exchange(sink, request, {}, nullptr);
  exchange.respond({.body = "secret"});
  EXPECT_THAT(sink->sent, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(sink->sent, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace erne::http
