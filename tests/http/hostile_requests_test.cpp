// Requests that two readers could understand differently, and every method on every path of both
// ports: each is answered or refused, and nothing of one request becomes another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "server/routes.h"
#include "server_fixture.h"

namespace erne::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr int kGzip = 15 + 16, kZlib = 15, kRaw = -15;  // zlib's windowBits

std::string packed(std::string_view text, int window) {
  z_stream stream{};
  CHECK_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Whatever follows a request that is refused would be another client's behind a proxy.
constexpr std::string_view kSmuggled = "GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n";

void expect_refused_and_closed(TestServer& server, const std::string& request, int status) {
  RawClient client = server.client();
  client.send(request + std::string(kSmuggled));
  const auto response = client.read_response();
  ASSERT_TRUE(response) << request;
  EXPECT_EQ(response->status, status) << request;
  EXPECT_EQ(response->headers.at("connection"), "close") << request;
  EXPECT_NE(response->headers.at("x-request-id"), "") << request;
  EXPECT_FALSE(client.read_response()) << request;
}

TEST(HostileRequests, FramingThatTwoReadersWouldReadDifferentlyIsRefused) {
  TestServer server;
  const std::string post = "POST /health HTTP/1.1\r\nHost: t\r\n";
  const std::string end = "\r\n5\r\nhello\r\n0\r\n\r\n";
  for (const char* field : {
           "Transfer-Encoding: identity\r\nContent-Length: 5",
           "Transfer-Encoding: identity",
           "Transfer-Encoding: chunked, identity",
           "Transfer-Encoding: chunked, gzip",
           "Transfer-Encoding: chunked, chunked",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
           "Transfer-Encoding: xchunked",
           "Transfer-Encoding: chunkedx",
           "Transfer-Encoding: chunked;q=1",
           "Transfer-Encoding: \"chunked\"",
           "Transfer-Encoding: chunked,",
           "Transfer-Encoding:",
           "Transfer-Encoding : chunked",
           "Transfer-Encoding\t: chunked",
           " Transfer-Encoding: chunked",
           "Transfer-Encoding:\r\n chunked",
           "Transfer-Encoding: \vchunked",
           "Transfer-Encoding: chunked\r",
           "X: y\nTransfer-Encoding: chunked",
           "X: y\rTransfer-Encoding: chunked",
           "Transfer-Encoding: chunked\r\nContent-Length: 5",
           "Content-Length: 5\r\nTransfer-Encoding: chunked",
           "Content-Length: 5\r\nContent-Length: 5",
           "Content-Length: 5\r\nContent-Length: 6",
           "Content-Length: 5, 5",
           "Content-Length: +5",
           "Content-Length: 0x5",
           "Content-Length: 5 5",
           "Content-Length:",
           "Content-Length : 5",
           "Content-Length:\r\n 5",
           "Content-Length: 5\r\n folded",
           "Host: other",
           "Host: t",
           "bad name: x",
           "bad\"name: x",
           ": x",
           "no colon",
       })
    expect_refused_and_closed(server, post + field + "\r\n" + end, 400);
  expect_refused_and_closed(server, post + "Transfer-Encoding: gzip, chunked\r\n" + end, 501);
  expect_refused_and_closed(server, post + "X: " + std::string("a\0b", 3) + "\r\n" + end, 400);
}

TEST(HostileRequests, FirstLinesThatAreNoneAreRefused) {
  TestServer server;
  for (const char* line : {
           "GET /health",
           "GET  /health HTTP/1.1",
           "GET /health  HTTP/1.1",
           "GET /health HTTP/1.1 ",
           "GET /health\tHTTP/1.1",
           "GET /he alth HTTP/1.1",
           " GET /health HTTP/1.1",
           "G(T /health HTTP/1.1",
           "GET health HTTP/1.1",
           "GET ftp://t/health HTTP/1.1",
           "GET http:///health HTTP/1.1",
           "GET http://user@t/health HTTP/1.1",
           "GET /health#part HTTP/1.1",
           "GET /h\xC3\xA4lth HTTP/1.1",
           "GET * HTTP/1.1",
           "CONNECT /health HTTP/1.1",
           "GET /health http/1.1",
           "GET /health HTTP/1.01",
           "GET /health HTTP/2.0",
           "GET /health HTTP/1.1\nX: y",
       })
    expect_refused_and_closed(server, std::string(line) + "\r\nHost: t\r\n\r\n", 400);
}

TEST(HostileRequests, HostsThatAreMissingOrNoneAreRefused) {
  TestServer server;
  expect_refused_and_closed(server, "GET /health HTTP/1.1\r\n\r\n", 400);
  for (const char* host : {"a, b", "a b", "a/b", "user@a", "a\\b", "<a>"})
    expect_refused_and_closed(
        server, "GET /health HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n", 400);
  RawClient old = server.client();
  old.send("GET /health HTTP/1.0\r\n\r\n");  // which did not have the field yet
  EXPECT_EQ(old.read_response().value().status, 200);
  expect_refused_and_closed(
      server, "POST /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

TEST(HostileRequests, ChunksThatAreNoneAreRefused) {
  TestServer server;
  const std::string head =
      "POST /tokenize HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* body : {
           "5\nhello\r\n0\r\n\r\n",
           "5 \r\nhello\r\n0\r\n\r\n",
           "+5\r\nhello\r\n0\r\n\r\n",
           "0x5\r\nhello\r\n0\r\n\r\n",
           "\r\nhello\r\n0\r\n\r\n",
           ";x=y\r\nhello\r\n0\r\n\r\n",
           "5\r\nhello!\r\n0\r\n\r\n",
           "5\r\nhello0\r\n\r\n",
           "5\r\nhello\n0\r\n\r\n",
           "5;a\rb\r\nhello\r\n0\r\n\r\n",
           "0\r\nX : y\r\n\r\n",
           "0\r\n X: y\r\n\r\n",
           "0\r\nno colon\r\n\r\n",
           "0\r\nX: y\n\r\n",
       })
    expect_refused_and_closed(server, head + body, 400);
  expect_refused_and_closed(server, head + "5;" + std::string(5000, 'x') + "\r\nhello", 431);
  std::string many;
  for (int i = 0; i < 50; ++i) many += "1;" + std::string(1000, 'x') + "\r\n \r\n";
  expect_refused_and_closed(server, head + many, 431);
  expect_refused_and_closed(server, head + "0\r\n" + many, 400);
}

// POST /metrics on the metrics port ended the process: the port's gate had let pass what the table
// did not have. Now one table says both.
TEST(HostileRequests, EveryMethodOnEveryPathOfBothPortsIsAnswered) {
  ListenOptions listen;
  listen.metrics_port = 0;
  TestServer server(listen);
  std::vector<std::string> paths = {"/",  "/nothing",   "/metrics/", "/v1/models/", "/v1/models/x",
                                    "*",  "//",         "/HEALTH",   "/health?a=b", "/metrics?x",
                                    "/%", "/../metrics"};
  for (const Route& route : routes()) paths.emplace_back(route.path);
  for (const bool metrics : {false, true})
    for (const std::string& path : paths)
      for (const char* method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
                                 "TRACE", "CONNECT", "PROPFIND", "get", "X"}) {
        RawClient client = metrics ? server.metrics_client() : server.client();
        const std::string_view verb = method;
        const std::string target = verb == "CONNECT" ? "t:80" : path;
        client.send_request(method, target, verb == "POST" ? "{}" : "");
        const auto response = client.read_response(verb != "HEAD");
        ASSERT_TRUE(response) << method << " " << path;
        EXPECT_THAT(response->status, ::testing::AnyOf(200, 204, 400, 404, 405))
            << method << " " << path;
        if (response->status == 405) {
          EXPECT_THAT(response->headers.at("allow"), HasSubstr("OPTIONS"));
        }
      }
  EXPECT_EQ(server.metrics_client().ask("POST", "/metrics").value().headers.at("allow"),
            "GET, HEAD, OPTIONS");
  EXPECT_EQ(server.metrics_client().ask("GET", "/v1/models").value().status, 404);
  EXPECT_EQ(server.metrics_client().ask("GET", "/health").value().status, 200);
  EXPECT_EQ(server.client().ask("OPTIONS", "*").value().status, 204);
}

TEST(HostileRequests, PackedBodiesAreUnpackedWithinTheLimit) {
  ListenOptions listen;
  listen.http.max_body_bytes = 100'000;
  TestServer server(listen);
  const std::string request = R"({"prompt":"Once","max_tokens":2})";
  // In two members, as gzip allows.
  const std::string gzip = packed(request.substr(0, 10), kGzip) + packed(request.substr(10), kGzip);
  RawClient client = server.client();
  const auto response = client.ask("POST", "/v1/completions", gzip, "Content-Encoding: gzip\r\n");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200) << response->body;
  const auto status_of = [&](const std::string& body, const char* coding) {
    return server.client()
        .ask("POST", "/v1/completions", body, "Content-Encoding: " + std::string(coding) + "\r\n")
        .value()
        .status;
  };
  EXPECT_EQ(status_of(packed(request, kZlib), "Deflate"), 200);
  EXPECT_EQ(status_of(packed(request, kRaw), "deflate"), 200);
  EXPECT_EQ(status_of(request, "identity"), 200);
  EXPECT_EQ(status_of(packed(std::string(10'000'000, ' '), kGzip), "gzip"), 413);
  EXPECT_EQ(status_of(packed(std::string(100'001, ' '), kZlib), "deflate"), 413);
  for (const std::string& damaged :
       {gzip.substr(0, gzip.size() - 5), gzip + "x", request, std::string("\x1f\x8b")})
    EXPECT_EQ(status_of(damaged, "gzip"), 400);
  const auto other = server.client().ask("POST", "/tokenize", "x", "Content-Encoding: br\r\n");
  EXPECT_EQ(other.value().status, 415);
  EXPECT_THAT(other->headers.at("accept-encoding"), HasSubstr("gzip"));
}

}  // namespace
}  // namespace erne::server
