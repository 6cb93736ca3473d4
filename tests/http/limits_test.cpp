// Clients that send too much, too little, too slowly or nonsense: each gets its answer or is cut
// off, and the next request is served as if nothing had been.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server_fixture.h"

namespace erne::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

ListenOptions impatient() {
  ListenOptions options;
  options.http.max_header_bytes = 4096;
  options.http.max_body_bytes = 100'000;
  options.http.header_timeout = milliseconds(200);
  options.http.body_timeout = milliseconds(300);
  options.http.idle_timeout = milliseconds(400);
  options.http.write_timeout = milliseconds(500);
  return options;
}

void expect_good(TestServer& server) {
  RawClient client = server.client();
  const auto response = client.ask("POST", kPath, kGood);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_THAT(response->body, HasSubstr(R"("text":"A s")"));
}

// Sends `bytes` and expects one answer and a closed connection.
void expect_refused(TestServer& server, std::string_view bytes, int status, const char* says) {
  RawClient client = server.client();
  client.send(bytes);
  const auto response = client.read_response();
  ASSERT_TRUE(response) << bytes.substr(0, 60);
  EXPECT_EQ(response->status, status) << bytes.substr(0, 60);
  EXPECT_THAT(response->body, HasSubstr(says));
  EXPECT_EQ(response->headers.at("connection"), "close");
  EXPECT_TRUE(client.closed_within(seconds(30)));
}

TEST(Limits, MalformedRequestsAreRefused) {
  TestServer server(impatient());
  for (const char* bytes : {
           "NONSENSE\r\n\r\n",
           "GET /health HTTP/9.9\r\n\r\n",
           "GET /health HTTP/1.1\r\nHost: test\r\nno colon\r\n\r\n",
           "GET /health HTTP/1.1\r\nHost: test\r\nA: b\r\n folded\x01\r\n\r\n",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: x\r\n\r\n",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nContent-Length: "
           "4\r\n\r\nabcd",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "
           "chunked\r\nContent-Length: "
           "4\r\n\r\n"
           "0\r\n\r\n",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nnot "
           "hex\r\n",
           "POST /v1/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
           "FFFFFFFFFFFFFFFFF\r\n",
       })
    expect_refused(server, bytes, 400, "HTTP/1.1 request");
  expect_good(server);
}

TEST(Limits, HugeHeadersAreRefused) {
  TestServer server(impatient());
  const std::string filler(8000, 'a');
  expect_refused(server, "GET /" + filler + " HTTP/1.1\r\nHost: test\r\n\r\n", 431, "4096");
  expect_refused(server, "GET / HTTP/1.1\r\nHost: test\r\nX: " + filler + "\r\n\r\n", 431, "4096");
  std::string many = "GET / HTTP/1.1\r\nHost: test\r\n";
  for (int i = 0; i < 1000; ++i) many += "X: y\r\n";
  expect_refused(server, many + "\r\n", 431, "4096");
  expect_good(server);
}

TEST(Limits, HugeBodiesAreRefusedBeforeTheyAreRead) {
  TestServer server(impatient());
  expect_refused(server,
                 "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 100001\r\n\r\n",
                 413, "100000");
  std::string chunks =
      "POST /v1/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 101; ++i) chunks += "3E8\r\n" + std::string(1000, ' ') + "\r\n";
  expect_refused(server, chunks, 413, "100000");
  expect_good(server);
}

TEST(Limits, ABodyInOneByteChunksIsRead) {
  TestServer server(impatient());
  RawClient client = server.client();
  std::string bytes =
      "POST /v1/completions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char c : kGood + std::string(20'000, ' ')) bytes += std::string("1\r\n") + c + "\r\n";
  client.send(bytes + "0\r\n\r\n");
  EXPECT_EQ(client.read_response().value().status, 200);
}

TEST(Limits, AllBodiesTogetherAreBounded) {
  ListenOptions options = impatient();
  options.http.max_total_bytes = 300'000;
  options.http.body_timeout = seconds(60);
  TestServer server(options);
  const std::string head =
      "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 90000\r\n\r\n";
  std::vector<RawClient> slow;
  std::optional<RawResponse> refused;
  for (int i = 0; i < 20 && !refused; ++i) {
    slow.push_back(server.client());
    slow.back().send(head + std::string(80'000, ' '));
    if (slow.back().readable_within(milliseconds(200))) refused = slow.back().read_response();
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->headers.at("retry-after"), "1");
  slow.clear();
  for (int i = 0; i < 1000; ++i) {  // until the server has seen them leave
    if (server.client().ask("POST", kPath, kGood).value().status == 200) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
  FAIL() << "what was counted for clients that are gone still is";
}

// The attack of 62 bytes a connection: what is announced takes no room.
TEST(Limits, AnnouncedBodiesTakeNoRoom) {
  ListenOptions options;
  options.http.max_total_bytes = size_t{1} << 20;
  TestServer server(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(server.client());
    clients.back().send(i % 2 ? "POST /v1/completions HTTP/1.1\r\nHost: test\r\n"
                                "Content-Length: 8388608\r\n\r\n"
                              : "POST /health HTTP/1.1\r\nHost: test\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n");
  }
  expect_good(server);
}

TEST(Limits, OneClientMayHoldAPartOnly) {
  ListenOptions options;
  options.http.max_client_bytes = 700'000;
  options.http.max_client_connections = 5;
  TestServer server(options);
  std::vector<RawClient> slow;
  for (int i = 0; i < 4; ++i) slow.push_back(server.client());
  for (RawClient& client : slow)
    client.send("POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 900000\r\n\r\n" +
                std::string(280'000, ' '));
  int num_refused = 0;
  for (RawClient& client : slow)
    if (client.readable_within(seconds(1))) num_refused += client.read_response()->status == 429;
  EXPECT_GT(num_refused, 0);
  RawClient fifth = server.client();
  EXPECT_EQ(fifth.ask("GET", "/health").value().status, 200);
  const auto sixth = server.client().read_response();
  ASSERT_TRUE(sixth);
  EXPECT_EQ(sixth->status, 503);
  EXPECT_THAT(sixth->body, HasSubstr("this address"));
}

TEST(Limits, AKeyIsAskedForBeforeABodyIsRead) {
  ListenOptions options;
  options.api_keys = {"right"};
  options.http.max_body_bytes = 1000;
  TestServer server(options);
  expect_refused(server, "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 900\r\n\r\n",
                 401, "API key");
}

TEST(Limits, SlowHeadersAndBodiesTimeOut) {
  TestServer server(impatient());
  expect_refused(server, "GET /health HTTP/1.1\r\nHost: test\r\nX: ", 408, "in time");
  expect_refused(server,
                 "POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n{", 408,
                 "in time");
  // One byte now and then does not extend the deadline.
  RawClient client = server.client();
  const auto start = std::chrono::steady_clock::now();
  for (const char c :
       std::string("GET /health HTTP/1.1\r\nHost: test\r\nX: 12345678901234567890")) {
    client.send(std::string(1, c));
    if (client.closed_within(milliseconds(20))) break;
  }
  EXPECT_TRUE(client.closed_within(seconds(30)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(30));
  expect_good(server);
}

TEST(Limits, IdleConnectionsAreClosed) {
  TestServer server(impatient());
  RawClient silent = server.client();
  RawClient idle = server.client();
  ASSERT_EQ(idle.ask("GET", "/health").value().status, 200);
  EXPECT_TRUE(silent.closed_within(seconds(30)));
  EXPECT_TRUE(idle.closed_within(seconds(30)));
}

TEST(Limits, ConnectionsAreBounded) {
  ListenOptions options;
  options.http.max_connections = 3;
  TestServer server(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(server.client());
    ASSERT_EQ(clients.back().ask("GET", "/health").value().status, 200);
  }
  RawClient fourth = server.client();
  const auto refused = fourth.read_response();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  clients.pop_back();
  for (int i = 0; i < 100; ++i) {
    RawClient next = server.client();
    const auto response = next.ask("GET", "/health");
    if (response && response->status == 200) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
  FAIL() << "a closed connection made no room";
}

TEST(Limits, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  RawClient client = server.client();
  client.send(
      "GET /health HTTP/1.1\r\nHost: test\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: test\r\n\r\nGET "
      "/no HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.read_response().value().body, "");
  EXPECT_THAT(client.read_response().value().body, HasSubstr("\"list\""));
  EXPECT_EQ(client.read_response().value().status, 404);
}

TEST(Limits, AFloodBehindARunningRequestIsCutOff) {
  TestServer server;
  server.engine.hold(true);
  RawClient client = server.client();
  client.send_request("POST", kPath, kGood);
  ASSERT_TRUE(server.engine_reaches(1));
  client.send(std::string(200'000, 'x'));
  EXPECT_TRUE(server.engine_reaches(0));  // cancelled with its connection
  server.engine.hold(false);
  expect_good(server);
}

TEST(Limits, ExpectContinueIsAnsweredBeforeTheBody) {
  TestServer server;
  RawClient client = server.client();
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: " +
      std::to_string(kGood.size()) + "\r\n\r\n");
  EXPECT_EQ(client.read_response().value().status, 100);
  client.send(kGood);
  EXPECT_EQ(client.read_response().value().status, 200);
  // Refused without the body being asked for.
  client.send(
      "POST /nothing HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(client.read_response().value().status, 404);
}

TEST(Limits, OldClientsGetStreamsUntilTheConnectionCloses) {
  TestServer server;
  RawClient client = server.client();
  const std::string body = R"({"prompt":"Once","max_tokens":2,"stream":true})";
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  const auto response = client.read_response();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->headers.count("transfer-encoding"), 0u);
  EXPECT_THAT(response->body, ::testing::EndsWith("data: [DONE]\n\n"));
}

TEST(Limits, RequestsAtOnceAreBounded) {
  ServerOptions options;
  options.max_concurrency = 2;
  TestServer server(options);
  server.engine.hold(true);
  RawClient first = server.client(), second = server.client(), third = server.client();
  first.send_request("POST", kPath, kGood);
  second.send_request("POST", kPath, kGood);
  ASSERT_TRUE(server.engine_reaches(2));
  const auto refused = third.ask("POST", kPath, kGood);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->headers.at("retry-after"), "1");
  EXPECT_EQ(third.ask("GET", "/health").value().status, 200);
  server.engine.hold(false);
  EXPECT_EQ(first.read_response().value().status, 200);
  EXPECT_EQ(second.read_response().value().status, 200);
  EXPECT_EQ(third.ask("POST", kPath, kGood).value().status, 200);
}

TEST(Limits, APortInUseIsASentence) {
  TestServer server;
  ListenOptions options;
  options.host = "127.0.0.1";
  options.port = server.port();
  Server second(options);
  const auto started = second.start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.status().message, HasSubstr("Address already in use"));
  EXPECT_EQ(started.status().param, "port");
}

}  // namespace
}  // namespace erne::server
