#include "base/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace erne {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

Json parsed(const std::string& text) {
  auto json = parse_json_file(text);
  EXPECT_TRUE(json.ok()) << text << ": " << json.status().message;
  return json.ok() ? *json : Json();
}

std::string refused(const std::string& text) {
  const auto json = parse_json_file(text);
  EXPECT_FALSE(json.ok()) << text;
  return json.ok() ? "" : json.status().message;
}

TEST(JsonFile, ReadsAnyNumber) {
  EXPECT_EQ(parsed("1000000000000000019884624838656").as_double(),
            1000000000000000019884624838656.);
  EXPECT_EQ(parsed("18446744073709551615"), Json(UINT64_MAX));
  EXPECT_EQ(parsed("-9223372036854775808"), Json(INT64_MIN));
  EXPECT_EQ(parsed("18446744073709551616").as_double(), 18446744073709551616.);
  EXPECT_EQ(parsed("1e999").as_double(), HUGE_VAL);
  EXPECT_EQ(parsed("-1e999").as_double(), -HUGE_VAL);
  EXPECT_EQ(parsed("1e-999").as_double(), 0);
  EXPECT_TRUE(std::isnan(parsed("NaN").as_double()));
  EXPECT_EQ(parsed("Infinity").as_double(), HUGE_VAL);
  EXPECT_EQ(parsed("-Infinity").as_double(), -HUGE_VAL);
  EXPECT_EQ(parsed("0.1"), Json(0.1));
  EXPECT_EQ(parsed("9"s + std::string(5000, '9')).as_double(), HUGE_VAL);
}

TEST(JsonFile, AnIntegerIsOneHoweverItIsWritten) {
  for (const char* text : {"50", "50.0", "5e1", "5.0E+1", "500e-1"})
    EXPECT_EQ(parsed(text), Json(50)) << text;
  EXPECT_EQ(parsed("-0.0"), Json(0));
  EXPECT_FALSE(parsed("50.5").is_integer());
  EXPECT_FALSE(parsed("1e30").is_integer());
}

TEST(JsonFile, PassesOverMarksAndPadding) {
  for (const std::string& text : {"\xEF\xBB\xBF{\"a\": 1}"s, "{\"a\": 1}\n\n \t\r\n"s,
                                  "{\"a\": 1}\0\0\0\n\0"s, "\n {\"a\"\r\n:1\t}"s})
    EXPECT_EQ(parsed(text).dump(), "{\"a\":1}");
}

TEST(JsonFile, SaysThatATextIsUtf16) {
  for (const std::string& text : {"\xFF\xFE{\0}\0"s, "\xFE\xFF\0{\0}"s, "{\0}\0"s, "\0{\0}"s,
                                  "\xFF\xFE\0\0{\0\0\0"s, "\0\0\xFE\xFF\0\0\0{"s})
    EXPECT_THAT(refused(text), HasSubstr("UTF-16"));
}

TEST(JsonFile, ABlankTextIsNoValueButKnownAsBlank) {
  for (const std::string& text : {""s, " \n"s, "\0\0\0\0"s, "\xEF\xBB\xBF"s, "\xEF\xBB\xBF\n"s}) {
    EXPECT_TRUE(is_blank(text));
    EXPECT_EQ(refused(text), "the file is empty");
  }
  EXPECT_FALSE(is_blank("{}"));
}

TEST(JsonFile, TheLastOfARepeatedKeyIsTheOnlyOne) {
  EXPECT_EQ(parsed(R"({"k":1,"x":2,"k":3})").dump(), R"({"k":3,"x":2})");
  std::string many = "{";
  for (int i = 0; i < 5000; ++i)
    many += "\"k" + std::to_string(i % 100) + "\":" + std::to_string(i) + ",";
  const Json json = parsed(many + "\"k7\":0}");
  EXPECT_EQ(json.as_object().size(), 100u);
  EXPECT_EQ(json.find("k7")->as_int(), 0);
  EXPECT_EQ(json.find("k8")->as_int(), 4908);
}

TEST(JsonFile, KeepsWhatIsNoTextReadable) {
  EXPECT_EQ(parsed("\"a\xFF\xC3z\"").as_string(), "a\uFFFD\uFFFDz");
  EXPECT_EQ(parsed(R"("\ud83d\ude00 \u4f60\n\/")").as_string(), "😀 你\n/");
  EXPECT_EQ(parsed(R"("\ud83d\ud83d\ude00\ude00x")").as_string(), "\uFFFD😀\uFFFDx");
  EXPECT_EQ(parsed("\"tab\there\"").as_string(), "tab\there");
}

TEST(JsonFile, NamesThePlaceOfAnError) {
  EXPECT_THAT(refused("{\"a\": 1,\n  b: 2}"), HasSubstr("line 2, column 3"));
  for (const char* text :
       {"{",           "[",   "[1,",  "[1 2]", "{\"a\"}", "{\"a\":}", "\"", "\"\\", "\"\\x\"",
        "\"\\u12g4\"", "tru", "nil",  "-",     "-true",   "+1",       "1.", ".5",   "1e",
        "0x10",        "1 2", "{} x", "]",     "nan",     "--1",      "1-2"})
    EXPECT_THAT(refused(text), HasSubstr("line 1, column")) << text;
}

TEST(JsonFile, IsBoundedInDepth) {
  EXPECT_THAT(refused(std::string(1 << 20, '[')), HasSubstr("deeper than 64 levels"));
  EXPECT_TRUE(parse_json_file(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_FALSE(parse_json_file("[[[]]]", 2).ok());
}

TEST(JsonFile, IsBoundedInValues) {
  std::string many = "[";
  for (int i = 0; i < 4'000'001; ++i) many += "0,";
  EXPECT_THAT(refused(many + "0]"), HasSubstr("more than 4000000 values"));
}

// What the strict parser reads, this one reads equally.
TEST(JsonFile, AgreesWithTheStrictParser) {
  const std::string text = R"({"b":1,"a":[true,false,null,-3,0.1,1e-7,18446744073709551615,{}],
                               "text":"x\n\"\u4f60 ÿ 😀\\","e":[],"o":{"x":{"y":[[1]]}}})";
  EXPECT_EQ(parsed(text), *Json::parse(text));
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string mutant = text;
    for (int n = 0; n < 3; ++n) mutant[random() % mutant.size()] = text[random() % text.size()];
    const auto strict = Json::parse(mutant);
    const auto lenient = parse_json_file(mutant);
    EXPECT_TRUE(lenient.ok() || !strict.ok()) << mutant;
  }
}

}  // namespace
}  // namespace erne
