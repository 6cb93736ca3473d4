#include "apps/listen_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace erne::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ListenOptions, AnyPageMayAskWhereNoKeyIsNeeded) {
  ServeOptions options;
  EXPECT_THAT(listen_options(options)->cors.origins, ElementsAre("*"));
  options.api_keys = {"secret"};
  EXPECT_THAT(listen_options(options)->cors.origins, IsEmpty());
  options.allowed_origins = {"*"};
  EXPECT_THAT(listen_options(options)->cors.origins, ElementsAre("*"));
}

TEST(ListenOptions, OriginsComeOneATimeOrAsJsonLists) {
  ServeOptions options;
  options.allowed_origins = {"https://a.example", R"(["http://localhost:3000", "null"])"};
  options.allowed_methods = {R"(["GET", "POST"])"};
  options.allowed_headers = {"Authorization"};
  options.allow_credentials = true;
  const auto listen = listen_options(options);
  ASSERT_TRUE(listen.ok());
  EXPECT_THAT(listen->cors.origins,
              ElementsAre("https://a.example", "http://localhost:3000", "null"));
  EXPECT_THAT(listen->cors.methods, ElementsAre("GET", "POST"));
  EXPECT_THAT(listen->cors.headers, ElementsAre("Authorization"));
  EXPECT_TRUE(listen->cors.allow_credentials);
  options.allowed_origins = {"[]"};
  EXPECT_THAT(listen_options(options)->cors.origins, IsEmpty());
}

TEST(ListenOptions, WhatWouldNeverMatchIsRefusedByName) {
  for (const char* wrong : {"a.example", "https://a.example/", "https://a.example/x", "[1]",
                            "[\"a\"", "", "https://", "https://a.example, https://b.example"}) {
    ServeOptions options;
    options.allowed_origins = {wrong};
    const auto listen = listen_options(options);
    ASSERT_FALSE(listen.ok()) << wrong;
    EXPECT_EQ(listen.status().param, "--allowed-origins");
    EXPECT_THAT(listen.status().message, HasSubstr("--allowed-origins"));
  }
  ServeOptions options;
  options.allowed_headers = {"two words"};
  EXPECT_FALSE(listen_options(options).ok());
}

TEST(ListenOptions, ThePageIsThereUnlessNobodyWantsIt) {
  ServeOptions options;
  EXPECT_TRUE(listen_options(options)->web);
  options.web = false;
  EXPECT_FALSE(listen_options(options)->web);
}

TEST(ListenOptions, UrlsCanBeOpened) {
  EXPECT_EQ(url_of("0.0.0.0", 8000), "http://127.0.0.1:8000");
  EXPECT_EQ(url_of("::", 8000), "http://[::1]:8000");
  EXPECT_EQ(url_of("fe80::1", 1), "http://[fe80::1]:1");
  EXPECT_EQ(url_of("localhost", 1), "http://localhost:1");
}

}  // namespace
}  // namespace erne::apps
