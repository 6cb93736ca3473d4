#include "server/http_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_key.h"
#include "server/errors.h"

namespace erne::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Outbox, TellsOnceWhenThereIsRoomAgain) {
  Outbox outbox(10);
  EXPECT_TRUE(outbox.add("123456", false));   // someone has to take it
  EXPECT_FALSE(outbox.add("123456", false));  // who is on the way
  EXPECT_FALSE(outbox.writable());
  Outbox::Batch batch = outbox.take();
  EXPECT_EQ(batch.bytes.size(), 12u);
  EXPECT_FALSE(batch.writable);
  EXPECT_FALSE(outbox.add("7", true));
  batch = outbox.take();
  EXPECT_EQ(batch.bytes, "7");
  EXPECT_TRUE(batch.writable);
  EXPECT_FALSE(batch.end);
  batch = outbox.take();
  EXPECT_TRUE(batch.end);
  EXPECT_FALSE(batch.writable);
  EXPECT_TRUE(outbox.add("next", false));
}

struct FakeConnection final : Connection {
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

TEST(HttpExchange, TellsItsListenerOfADepartureOnce) {
  const auto connection = std::make_shared<FakeConnection>();
  HttpExchange exchange(connection, {}, false, true);
  const auto listener = std::make_shared<FakeListener>();
  exchange.listen(listener);
  exchange.over(/*complete=*/false);
  exchange.over(/*complete=*/false);
  EXPECT_EQ(listener->num_gone, 1);
  const auto late = std::make_shared<FakeListener>();
  exchange.listen(late);
  EXPECT_EQ(late->num_gone, 1);
}

TEST(HttpExchange, ACompleteAnswerIsNoDeparture) {
  HttpExchange exchange(std::make_shared<FakeConnection>(), {}, false, true);
  const auto listener = std::make_shared<FakeListener>();
  exchange.listen(listener);
  exchange.over(/*complete=*/true);
  exchange.listen(listener);
  EXPECT_EQ(listener->num_gone, 0);
}

TEST(HttpExchange, ChunksAreFramedAndEmptyOnesLeftOut) {
  const auto connection = std::make_shared<FakeConnection>();
  HttpExchange exchange(connection, {}, false, true);
  exchange.begin_stream({.content_type = "text/event-stream"});
  exchange.write("0123456789abcdef");
  exchange.write("");
  exchange.finish();
  EXPECT_THAT(connection->sent, HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(connection->sent, HasSubstr("\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
  EXPECT_TRUE(connection->ended);
}

TEST(HttpExchange, ADrainingServerClosesConnections) {
  const auto connection = std::make_shared<FakeConnection>();
  connection->is_draining = true;
  HttpExchange exchange(connection, {}, false, true);
  exchange.respond({.body = "x"});
  EXPECT_THAT(connection->sent, HasSubstr("Connection: close\r\n"));
}

TEST(HttpExchange, HeadHasNoBody) {
  const auto connection = std::make_shared<FakeConnection>();
  HttpRequest request;
  request.method = "HEAD";
  HttpExchange exchange(connection, request, false, true);
  exchange.respond({.body = "secret"});
  EXPECT_THAT(connection->sent, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(connection->sent, Not(HasSubstr("secret")));
}

TEST(ApiKey, IsOneOfTheKeys) {
  const std::vector<std::string> keys = {"alpha", "beta"};
  EXPECT_TRUE(is_authorized("Bearer alpha", keys));
  EXPECT_TRUE(is_authorized("bearer beta", keys));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaalpha", "alpha",
                            "Bearer  alpha", "Basic alpha", "Bearer gamma"})
    EXPECT_FALSE(is_authorized(wrong, keys)) << wrong;
  EXPECT_TRUE(is_authorized("", {}));
  EXPECT_TRUE(is_authorized("Bearer ", {}));
  EXPECT_FALSE(is_authorized("Bearer ", {""}));
}

TEST(Errors, HaveOpenAisShapeAndStatus) {
  const HttpResponse response = error_response(invalid("n is \"x\"", "n"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            R"({"error":{"message":"n is \"x\"","type":"invalid_request_error","param":"n",)"
            R"("code":"invalid_value"}})");
  EXPECT_EQ(error_response(Status{Code::kOverloaded, "", ""}).status, 429);
  EXPECT_EQ(error_response(Status{Code::kTooLong, "", ""}).status, 400);
  EXPECT_EQ(error_response(Status{Code::kInternal, "", ""}).status, 500);
  EXPECT_EQ(error_response(Status{Code::kUnauthorized, "", ""}).status, 401);
}

}  // namespace
}  // namespace erne::server
