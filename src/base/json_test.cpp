#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace erne {
namespace {

TEST(Json, KeepsOrderAndExactNumbers) {
  const std::string text = R"({"b":1,"a":[true,null,-3,0.1,18446744073709551615,"x\n\"\u4f60"]})";
  const auto parsed = Json::parse(text);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->dump(),
            "{\"b\":1,\"a\":[true,null,-3,0.1,18446744073709551615,\"x\\n\\\"你\"]}");
}

TEST(Json, RefusesHostileText) {
  EXPECT_FALSE(Json::parse("").ok());
  EXPECT_FALSE(Json::parse("{} trailing").ok());
  EXPECT_FALSE(Json::parse("\"\xff\"").ok());
  EXPECT_FALSE(Json::parse(std::string(200000, '[')).ok());
  const std::string deep = std::string(70, '[') + std::string(70, ']');
  const auto refused = Json::parse(deep);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message.find("64"), std::string::npos);
}

TEST(Json, LastOfARepeatedKeyCounts) {
  EXPECT_EQ(Json::parse(R"({"k":1,"k":2})")->find("k")->as_int(), 2);
}

TEST(Json, WritesNoInvalidJson) {
  EXPECT_EQ(Json(std::string("a\xff\x01")).dump(), "\"a\xEF\xBF\xBD\\u0001\"");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(1.0).dump(), "1.0");
}

TEST(Json, SetReplaces) {
  Json j;
  j.set("a", 1).set("a", 2).set("b", "x");
  EXPECT_EQ(j.dump(), R"({"a":2,"b":"x"})");
}

}  // namespace
}  // namespace erne
