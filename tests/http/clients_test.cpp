// What well-meaning clients and operators do that is not in every textbook: pages of other sites,
// proxies' targets, half-closed connections, ids of their own, probes while a model is loaded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "server_fixture.h"

namespace erne::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

const std::string kOrigin = "Origin: https://page.example\r\n";
const std::string kPreflight = kOrigin +
                               "Access-Control-Request-Method: POST\r\n"
                               "Access-Control-Request-Headers: authorization, content-type\r\n";

std::string header(const RawResponse& response, const std::string& name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

ListenOptions with_origins(std::vector<std::string> origins) {
  ListenOptions listen;
  listen.cors.origins = std::move(origins);
  return listen;
}

TEST(Browsers, MayAskFromAnyPageWhereAnyIsAllowed) {
  ListenOptions listen = with_origins({"*"});
  listen.api_keys = {"right"};
  TestServer server(listen);
  RawClient client = server.client();
  const auto preflight = client.ask("OPTIONS", kPath, "", kPreflight);  // never has the key
  ASSERT_TRUE(preflight);
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(header(*preflight, "access-control-allow-origin"), "*");
  EXPECT_THAT(header(*preflight, "access-control-allow-methods"), HasSubstr("POST"));
  EXPECT_EQ(header(*preflight, "access-control-allow-headers"), "authorization, content-type");
  // Every answer, lest the page see no reason.
  const std::string key = kOrigin + "Authorization: Bearer right\r\n";
  for (const auto& [path, body, fields, status] :
       {std::tuple{kPath, kGood, key, 200},
        {kPath, kGood, kOrigin, 401},
        {kPath, std::string("{"), key, 400},
        {std::string("/nothing"), std::string(), key, 404},
        {std::string("/metrics"), std::string("x"), key, 405},
        {kPath, std::string(R"({"prompt":"Once","max_tokens":2,"stream":true})"), key, 200}}) {
    const auto response = server.client().ask("POST", path, body, fields);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, status);
    EXPECT_EQ(header(*response, "access-control-allow-origin"), "*") << path << body;
  }
  RawClient broken = server.client();
  broken.send("GET / HTTP/1.1\r\nHost: t\r\n" + kOrigin + "Content-Length: x\r\n\r\n");
  EXPECT_EQ(header(broken.read_response().value(), "access-control-allow-origin"), "*");
}

TEST(Browsers, MayAskFromPagesOfTheListAlone) {
  TestServer server(with_origins({"https://page.example", "http://localhost:3000"}));
  RawClient client = server.client();
  const auto good = client.ask("POST", kPath, kGood, kOrigin);
  EXPECT_EQ(header(*good, "access-control-allow-origin"), "https://page.example");
  EXPECT_EQ(header(*good, "vary"), "Origin");
  const auto other = client.ask("POST", kPath, kGood, "Origin: https://page.example.evil\r\n");
  EXPECT_EQ(header(*other, "access-control-allow-origin"), "");
  EXPECT_EQ(header(*other, "vary"), "Origin");
  EXPECT_EQ(
      client.ask("OPTIONS", kPath, "", "Origin: null\r\nAccess-Control-Request-Method: POST\r\n")
          .value()
          .status,
      400);
  EXPECT_EQ(header(*client.ask("POST", kPath, kGood), "access-control-allow-origin"), "");
}

TEST(Browsers, GetNothingWhereNoPageIsAllowed) {
  TestServer server;
  RawClient client = server.client();
  const auto preflight = client.ask("OPTIONS", kPath, "", kPreflight);
  EXPECT_EQ(preflight.value().status, 204);  // what OPTIONS means without all that
  EXPECT_EQ(header(*preflight, "allow"), "OPTIONS, POST");
  EXPECT_EQ(header(*preflight, "access-control-allow-origin"), "");
}

TEST(Clients, MaySendTheWholeUri) {
  TestServer server;
  RawClient client = server.client();
  for (const char* target :
       {"http://t/health", "HTTP://t:8000/health?x=y", "https://[::1]:80/health"})
    EXPECT_EQ(client.ask("GET", target).value().status, 200) << target;
  EXPECT_EQ(client.ask("GET", "http://t").value().status, 200);  // the page: its path is "/"
  EXPECT_EQ(client.ask("GET", "http://t/nothing").value().status, 404);
}

TEST(Clients, MayExpectToBeToldToGoOn) {
  TestServer server;
  RawClient client = server.client();
  for (const char* spelling : {"100-continue", "100-Continue", "100-CONTINUE"}) {
    client.send("POST /v1/completions HTTP/1.1\r\nHost: t\r\nExpect: " + std::string(spelling) +
                "\r\nContent-Length: " + std::to_string(kGood.size()) + "\r\n\r\n");
    EXPECT_EQ(client.read_response().value().status, 100);
    client.send(kGood);
    EXPECT_EQ(client.read_response().value().status, 200);
  }
  EXPECT_EQ(client.ask("POST", kPath, kGood, "Expect: a miracle\r\n").value().status, 417);
}

TEST(Clients, MaySendAnEmptyLineFirst) {
  TestServer server;
  RawClient client = server.client();
  client.send("\r\n");
  EXPECT_EQ(client.ask("POST", kPath, kGood).value().status, 200);
  client.send("\r\n\r\n");
  EXPECT_EQ(client.ask("GET", "/health").value().status, 200);
  for (int i = 0; i < 100; ++i) client.send("\r\n");  // but not for ever
  EXPECT_EQ(client.read_response().value().status, 400);
}

TEST(Clients, ThatEndTheirSendingSideGetTheirAnswers) {
  TestServer server;
  server.engine.hold(true);
  for (const std::string& version : {std::string("HTTP/1.1"), std::string("HTTP/1.0")})
    for (const bool stream : {false, true}) {
      RawClient client = server.client();
      const std::string body = stream ? R"({"prompt":"Once","max_tokens":2,"stream":true})" : kGood;
      const std::string request = "POST /v1/completions " + version +
                                  "\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
                                  "\r\n\r\n" + body;
      client.send(version == "HTTP/1.1" && !stream ? request + request : request);
      client.end_sending();
      ASSERT_TRUE(server.engine_reaches(1));
      std::this_thread::sleep_for(milliseconds(100));  // for the end to be seen
      EXPECT_EQ(server.engine.num_active(), 1);
      server.engine.hold(false);
      std::optional<RawResponse> response;
      do response = client.read_response();
      while (response && response->status == 100);
      ASSERT_TRUE(response);
      EXPECT_EQ(response->status, 200);
      EXPECT_THAT(response->body, HasSubstr(stream ? "[DONE]" : R"("text":"A s")"));
      if (version == "HTTP/1.1" && !stream) {  // the second of two
        do response = client.read_response();
        while (response && response->status == 100);
        EXPECT_EQ(response.value().status, 200);
      }
      EXPECT_TRUE(client.closed_within(seconds(30)));
      server.engine.hold(true);
    }
}

TEST(Clients, ThatCloseAfterEndingTheirSendingSideAreCancelled) {
  TestServer server;
  server.engine.hold(true);
  RawClient client = server.client();
  client.send_request("POST", kPath, kGood);
  client.end_sending();
  ASSERT_TRUE(server.engine_reaches(1));
  client.close();
  EXPECT_TRUE(server.engine_reaches(0));
  EXPECT_EQ(server.engine.num_cancelled(), 1);
}

TEST(Clients, ThatEndInsideARequestAreTold) {
  TestServer server;
  for (const char* bytes :
       {"GET /hea", "POST /tokenize HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{"}) {
    RawClient client = server.client();
    client.send(bytes);
    client.end_sending();
    EXPECT_EQ(client.read_response().value().status, 400);
    EXPECT_TRUE(client.closed_within(seconds(30)));
  }
}

TEST(Clients, GetTheIdOfTheirRequestBack) {
  TestServer server;
  RawClient client = server.client();
  const auto named = client.ask("POST", kPath, kGood, "X-Request-Id: trace-7/a.b\r\n");
  EXPECT_EQ(header(*named, "x-request-id"), "trace-7/a.b");
  EXPECT_THAT(named->body, HasSubstr(R"("id":"cmpl-trace-7/a.b")"));
  const auto stream = client.ask("POST", kPath, R"({"prompt":"a","stream":true,"max_tokens":1})",
                                 "X-REQUEST-ID: s\r\n");
  EXPECT_EQ(header(*stream, "x-request-id"), "s");
  std::set<std::string> made;
  for (const std::string& field :
       {std::string(), std::string("X-Request-Id: a b\r\n"), std::string("X-Request-Id: \"\r\n"),
        "X-Request-Id: " + std::string(129, 'x') + "\r\n"})
    for (const char* path : {"/v1/models", "/health", "/nothing"}) {
      const std::string id = header(client.ask("GET", path, "", field).value(), "x-request-id");
      EXPECT_EQ(id.size(), 32u);
      EXPECT_TRUE(made.insert(id).second) << "twice: " << id;
    }
}

TEST(Operators, SeeAServerThatIsLoadingServingAndDraining) {
  ScriptedEngine engine({.reply = TestServer::tokens("abc")});
  ListenOptions listen;
  listen.host = "127.0.0.1";
  listen.port = 0;
  listen.metrics_port = 0;
  listen.api_keys = {"right"};
  listen.version = "1.2.3";
  Server server(listen);
  ASSERT_TRUE(server.start().ok());
  const auto ask = [&](int port, const char* method, const char* path, const char* fields = "") {
    RawClient client(port);
    return client.ask(method, path, std::string(method) == "POST" ? kGood : "", fields).value();
  };
  const char* key = "Authorization: Bearer right\r\n";
  for (const int port : {server.port(), server.metrics_port()}) {
    EXPECT_EQ(ask(port, "GET", "/live").status, 200);
    EXPECT_EQ(ask(port, "GET", "/version").body, R"({"version":"1.2.3"})");
    EXPECT_EQ(ask(port, "GET", "/load").body, R"({"server_load":0,"running":0,"waiting":0})");
    EXPECT_EQ(ask(port, "GET", "/nothing").status, 404);
    EXPECT_EQ(ask(port, "DELETE", "/live").status, 405);
    for (const char* path : {"/startup", "/ready", "/health", "/ping", "/metrics"}) {
      const auto response = ask(port, "GET", path);
      EXPECT_EQ(response.status, 503) << path;
      EXPECT_THAT(response.body, HasSubstr("loading")) << path;
      EXPECT_NE(header(response, "retry-after"), "") << path;
    }
  }
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions").status, 401);
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", key).status, 503);
  EXPECT_EQ(ask(server.port(), "GET", "/v1/models", key).status, 503);

  ServerOptions options;
  options.vocab_size = TestServer::tokenizer().size();
  server.open(options, engine, &TestServer::tokenizer(), &TestServer::chat());
  for (const char* path : {"/startup", "/ready", "/health", "/live", "/metrics"})
    EXPECT_EQ(ask(server.metrics_port(), "GET", path).status, 200) << path;
  EXPECT_EQ(ask(server.port(), "POST", "/v1/completions", key).status, 200);

  engine.hold(true);
  RawClient running(server.port());
  running.send_request("POST", kPath, kGood, key);
  while (engine.num_active() == 0) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(ask(server.port(), "GET", "/load").body,
            R"({"server_load":1,"running":1,"waiting":0})");
  std::thread drainer([&] { server.drain(seconds(60)); });
  while (ask(server.metrics_port(), "GET", "/ready").status == 200)
    std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(ask(server.metrics_port(), "GET", "/live").status, 200);
  EXPECT_EQ(ask(server.metrics_port(), "GET", "/startup").status, 200);
  EXPECT_EQ(ask(server.metrics_port(), "GET", "/ready").status, 503);
  engine.hold(false);
  EXPECT_EQ(running.read_response().value().status, 200);
  drainer.join();
}

}  // namespace
}  // namespace erne::server
