// The web page as HTTP sees it: in every state, with no key, with headers that keep browsers
// strict. What it does in a browser is tested in tests/web.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/page_files.h"
#include "server_fixture.h"

namespace erne::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

RawResponse ask(int port, const char* method, const std::string& path,
                const std::string& fields = {}) {
  return RawClient(port).ask(method, path, "", fields).value();
}

ListenOptions any_port() {
  ListenOptions listen;
  listen.host = "127.0.0.1";
  listen.port = 0;
  return listen;
}

TEST(Page, IsThereWhileTheModelIsLoadedAndWithNoKey) {
  ListenOptions listen = any_port();
  listen.api_keys = {"right"};
  Server server(listen);
  ASSERT_TRUE(server.start().ok());
  const RawResponse page = ask(server.port(), "GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, StartsWith("<!doctype html>"));
  EXPECT_THAT(page.body, EndsWith("</html>\n"));
  EXPECT_EQ(ask(server.port(), "GET", "/?a=b").status, 200);
  for (const PageFile& file : page_files()) {
    const RawResponse asset = ask(server.port(), "GET", "/web/" + std::string(file.name));
    EXPECT_EQ(asset.status, 200) << file.name;
    EXPECT_EQ(asset.body, file.text) << file.name;
    EXPECT_EQ(asset.headers.at("content-type"), file.content_type) << file.name;
  }
}

TEST(Page, KeepsBrowsersStrict) {
  TestServer server;
  for (const char* path : {"/", "/web/app.js", "/web/style.css", "/web/icon.svg"}) {
    const auto headers = ask(server.port(), "GET", path).headers;
    const std::string& policy = headers.at("content-security-policy");
    EXPECT_THAT(policy, StartsWith("default-src 'self';")) << path;
    EXPECT_THAT(policy, HasSubstr("require-trusted-types-for 'script'")) << path;
    EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'")) << path;
    EXPECT_THAT(policy, Not(HasSubstr("unsafe"))) << path;
    EXPECT_EQ(headers.at("x-content-type-options"), "nosniff") << path;
    EXPECT_EQ(headers.at("referrer-policy"), "no-referrer") << path;
  }
}

TEST(Page, IsSentOnceAndThenOnlyWhenItChanges) {
  TestServer server;
  const RawResponse page = ask(server.port(), "GET", "/");
  EXPECT_EQ(page.headers.at("cache-control"), "no-cache");
  const std::string etag = page.headers.at("etag");
  EXPECT_NE(etag, ask(server.port(), "GET", "/web/app.js").headers.at("etag"));

  RawClient client = server.client();
  for (const std::string& known : {etag, "\"other\", W/" + etag}) {
    client.send_request("GET", "/", "", "If-None-Match: " + known + "\r\n");
    const auto unchanged = client.read_response(false);
    EXPECT_EQ(unchanged->status, 304);
    EXPECT_EQ(unchanged->headers.at("etag"), etag);
    EXPECT_EQ(unchanged->headers.count("content-length"), 0u);
  }
  const auto changed = client.ask("GET", "/", "", "If-None-Match: \"other\"\r\n");
  EXPECT_EQ(changed->status, 200);  // and the connection is in step
  EXPECT_EQ(changed->body, page.body);
}

TEST(Page, HasNoOtherFilesAndNoOtherMethods) {
  TestServer server;
  for (const char* path : {"/web", "/web/", "/web/nothing.js", "/web/../web/app.js", "/web/app.js/",
                           "/web//app.js", "/web/%61pp.js", "/index.html", "/app.js"})
    EXPECT_EQ(ask(server.port(), "GET", path).status, 404) << path;
  for (const char* path : {"/", "/web/app.js"}) {
    EXPECT_EQ(ask(server.port(), "HEAD", path).status, 200) << path;
    const RawResponse posted = ask(server.port(), "POST", path);
    EXPECT_EQ(posted.status, 405) << path;
    EXPECT_EQ(posted.headers.at("allow"), "GET, HEAD, OPTIONS") << path;
  }
}

TEST(Page, IsOnTheMainPortAloneAndOnlyWhereItIsWanted) {
  ListenOptions listen = any_port();
  listen.metrics_port = 0;
  TestServer with(listen);
  EXPECT_EQ(ask(with.port(), "GET", "/").status, 200);
  EXPECT_EQ(ask(with.server->metrics_port(), "GET", "/").status, 404);
  listen.web = false;
  TestServer without(listen);
  for (const char* path : {"/", "/web/app.js", "/web/nothing.js"})
    EXPECT_EQ(ask(without.port(), "GET", path).status, 404) << path;
  EXPECT_EQ(ask(without.port(), "OPTIONS", "/").status, 404);
}

}  // namespace
}  // namespace erne::server
