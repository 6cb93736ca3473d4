#include "base/json.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <new>
#include <string_view>
#include <vector>

namespace {

thread_local size_t allocated_bytes = 0;  // by operator new, since it was set to 0

}  // namespace

// Not inlined: GCC 12 takes the pair of one that is and one that is not for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  allocated_bytes += size;
  if (void* data = std::malloc(size)) return data;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* data) noexcept {
  std::free(data);
}
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept {
  std::free(data);
}

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

TEST(Json, WholeNumbersAreIntegersHoweverTheyAreWritten) {
  for (const char* text : {"4", "4.0", "4e0", "40e-1", "0.4e1", "400E-2"}) {
    const Json four = Json::parse(text).value();
    EXPECT_TRUE(four.is_integer()) << text;
    EXPECT_EQ(four.as_int(), 4) << text;
    EXPECT_EQ(four.as_bits(), 4u) << text;
  }
  for (const char* text : {"-0.0", "-7.0", "9007199254740993", "-9223372036854775808"})
    EXPECT_TRUE(Json::parse(text)->is_integer()) << text;
  for (const char* text : {"4.5", "-0.1", "1e300", "18446744073709551616.0", "-1e19", "1e-9"})
    EXPECT_FALSE(Json::parse(text)->is_integer()) << text;
  EXPECT_EQ(Json::parse("-7.0")->as_int(), -7);
  EXPECT_EQ(Json::parse("-7.0")->as_bits(), ~uint64_t{0} - 6);
  EXPECT_EQ(Json::parse("18446744073709551615")->as_bits(), ~uint64_t{0});
  EXPECT_EQ(Json::parse("18446744073709551615")->as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Json::parse("1e19")->as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Json::parse("4.0")->dump(), "4.0");  // for whoever tells them apart
}

// In memory that ends where the text does, so that the address sanitizer sees a step too far.
TEST(Json, NoBeginningOfATextIsReadBeyondItsEnd) {
  const std::string_view text = R"({"a\"b\\":["\ud83d\ude00\n\/","\"",-1.5e-3,true,null]})";
  ASSERT_TRUE(Json::parse(text));
  for (size_t size = 0; size < text.size(); ++size) {
    const std::vector<char> exact(text.begin(), text.begin() + size);
    EXPECT_FALSE(Json::parse({exact.data(), size})) << text.substr(0, size);
    Json::parsing_cost({exact.data(), size});
  }
}

TEST(Json, LineEndsOfUnicodeAreEscaped) {
  EXPECT_EQ(Json("a\u2028b\u2029\u2027").dump(), "\"a\\u2028b\\u2029\u2027\"");
}

TEST(Json, LastOfARepeatedKeyCounts) {
  EXPECT_EQ(Json::parse(R"({"k":1,"k":2})")->find("k")->as_int(), 2);
}

TEST(Json, WritesNoInvalidJson) {
  EXPECT_EQ(Json(std::string("a\xff\x01")).dump(), "\"a\xEF\xBF\xBD\\u0001\"");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(1.0).dump(), "1.0");
}

// RFC 8259, and what its readers get wrong.
TEST(Json, TellsValidFromInvalid) {
  for (const char* text : {"null",
                           " true ",
                           "false",
                           "0",
                           "-0",
                           "-1",
                           "1.5",
                           "1e5",
                           "1E+5",
                           "1.25e-3",
                           "\"\"",
                           "[]",
                           "{}",
                           "[ ]",
                           "{ }",
                           "[1]",
                           "[1,2]",
                           "[[],{},[[]]]",
                           R"({"":0})",
                           R"({"a":{"b":[null]}})",
                           R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u4f60\ud83d\ude00")",
                           "\t[\r\n1 , 2 ]\n",
                           "123456789012345678901234567890",
                           "-9223372036854775808",
                           "1e-999",
                           "\"\x7f\""})
    EXPECT_TRUE(Json::parse(text).ok()) << text;
  for (const char* text : {"",
                           " ",
                           "nul",
                           "nulll",
                           "True",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "01",
                           "-",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "0x1",
                           "1 2",
                           "[1 2]",
                           "[1,]",
                           "[,1]",
                           "[,]",
                           "[",
                           "]",
                           "[1",
                           "{",
                           "}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{1:1}",
                           "{\"a\" 1}",
                           "{,}",
                           "[}",
                           "{\"a\":1]",
                           "\"",
                           "\"a",
                           "\"\\\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\n\"",
                           "\"\t\"",
                           "\"\xc3\"",
                           "\xef\xbb\xbf{}",
                           "1e999",
                           "-1e999",
                           "[1]]",
                           "[1],",
                           "\"a\"\"b\"",
                           "1[2]",
                           "true[1]",
                           "\"a\"[1]",
                           "{\"a\":1:[2]}",
                           "[1\"2\"]",
                           "'a'",
                           "/**/1"})
    EXPECT_FALSE(Json::parse(text).ok()) << text;
  EXPECT_FALSE(Json::parse(std::string_view("[1]\0", 4)).ok());
  EXPECT_FALSE(Json::parse(std::string_view("\"\0\"", 3)).ok());
}

TEST(Json, ReadsWhatWasMeant) {
  EXPECT_EQ(Json::parse(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u4f60\ud83d\ude00")")->as_string(),
            "\"\\/\b\f\n\r\tA\u00e9\u4f60\U0001F600");
  EXPECT_EQ(Json::parse("-9223372036854775808")->as_int(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Json::parse("18446744073709551615")->as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(Json::parse("18446744073709551615")->is_integer());
  const Json large = Json::parse("1000000000000000019884624838656").value();
  EXPECT_FALSE(large.is_integer());
  EXPECT_EQ(large.as_double(), 1e30);
  EXPECT_EQ(Json::parse("1e-999")->as_double(), 0.0);
  EXPECT_EQ(Json::parse("4.9406564584124654e-324")->as_double(), 4.9406564584124654e-324);
  EXPECT_EQ(Json::parse("0.1")->as_double(), 0.1);
}

// The bytes a value holds on the heap, an allocator's own apart.
size_t heap_bytes(const std::string& text) {
  return text.capacity() > 15 ? text.capacity() + 1 : 0;
}
size_t heap_bytes(const Json& json) {
  size_t bytes = 0;
  if (json.is_string() && !json.as_string().empty())
    bytes = sizeof(std::string) + heap_bytes(json.as_string());
  if (json.is_array() && !json.as_array().empty()) {
    bytes = sizeof(Json::Array) + json.as_array().capacity() * sizeof(Json);
    for (const Json& child : json.as_array()) bytes += heap_bytes(child);
  }
  if (json.is_object() && !json.as_object().empty()) {
    bytes = sizeof(Json::Object) + json.as_object().capacity() * sizeof(Json::Object::value_type);
    for (const auto& [key, child] : json.as_object()) bytes += heap_bytes(key) + heap_bytes(child);
  }
  return bytes;
}

std::string repeated(std::string_view begin, std::string_view item, std::string_view end) {
  std::string text(begin);
  for (int i = 0; i < 1000; ++i) (text += i == 0 ? "" : ",") += item;
  return text += end;
}

TEST(Json, AValueTakesWhatWasCountedBefore) {
  for (const std::string& text :
       {repeated("[", "7", "]"), repeated("[", "12345", "]"), repeated("[", "[]", "]"),
        repeated("[", "{}", "]"), repeated("[", "[1]", "]"), repeated("[", R"({"a":1})", "]"),
        repeated("[", R"({"a":{"b":"c"},"d":[1,2]})", "]"), repeated("[", "\"\"", "]"),
        repeated("[", "\"a\"", "]"), repeated("{", "\"key\":null", "}"),
        repeated("[", R"("a string that does not fit inside, \u0041\n")", "]"),
        repeated("{\"messages\":[", R"({"role":"user","content":"What is 7 + 5, please?"})", "]}"),
        std::string("\"") + std::string(5000, 'x') + "\"", std::string("7")}) {
    const auto json = Json::parse(text);
    ASSERT_TRUE(json.ok()) << text.substr(0, 60);
    const size_t cost = Json::parsing_cost(text);
    EXPECT_GE(cost, heap_bytes(*json) + sizeof(Json)) << text.substr(0, 60);
    EXPECT_LE(cost, 2 * heap_bytes(*json) + 100) << text.substr(0, 60);
  }
}

// Also of what is no JSON, and is found to be none in the middle of building it.
TEST(Json, ParsingTakesNoMoreThanWasCountedWhateverTheTextIs) {
  constexpr size_t kMessage = 500;  // of an error
  for (const char* begin : {"", "[", "{", "[[", "{\"a\":[", "[{", "{\"a\":{"})
    for (const char* item :
         {",", ":", "1,", "\"a\",", "\"a\":", "\"a\":1,", "[],", "{},", "[", "{", "[,", "{,", "1 ",
          "\"a\" ", "\"a long name that is on the heap\":2,", "\"\\u0041\","}) {
      std::string text = begin;
      for (int i = 0; i < 2000; ++i) text += item;
      const size_t cost = Json::parsing_cost(text);
      allocated_bytes = 0;
      const bool valid = Json::parse(text).ok();
      EXPECT_LE(allocated_bytes, cost + kMessage) << text.substr(0, 60) << (valid ? " valid" : "");
    }
}

TEST(Json, TokenIdsCostAtMostEightBytesPerByte) {
  const std::string text = repeated("[", "1", "]");
  EXPECT_LE(Json::parsing_cost(text), 8 * text.size() + 100);
}

TEST(Json, CountingReadsAnythingWithoutTakingMemory) {
  EXPECT_LT(Json::parsing_cost(std::string(1 << 20, '[')), size_t{100} << 20);
  EXPECT_GT(Json::parsing_cost(std::string(1000, '{')), 0u);
  EXPECT_GT(Json::parsing_cost("]]]]}}}}:::,,,\"\\"), 0u);
}

TEST(Json, CopiesAreDeepAndMovesLeaveNull) {
  const Json json = Json::parse(R"({"a":[1,"two",{"three":3.5}],"b":""})").value();
  Json copy = json;
  EXPECT_EQ(copy, json);
  copy.find("a")->as_array()[1] = "2";
  EXPECT_NE(copy, json);
  EXPECT_EQ(json.find("a")->as_array()[1].as_string(), "two");
  const Json moved = std::move(copy);
  EXPECT_TRUE(copy.is_null());  // NOLINT
  EXPECT_EQ(json.num_values(), 7u);
}

TEST(Json, WhatIsWrittenAlreadyStaysAsItIs) {
  Json json;
  json.set("scores", Json::written("[1.50]")).set("none", Json::written(""));
  EXPECT_EQ(json.dump(), R"({"scores":[1.50],"none":})");
}

TEST(Json, SetReplaces) {
  Json j;
  j.set("a", 1).set("a", 2).set("b", "x");
  EXPECT_EQ(j.dump(), R"({"a":2,"b":"x"})");
}

}  // namespace
}  // namespace erne
