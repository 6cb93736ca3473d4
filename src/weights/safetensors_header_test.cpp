#include "weights/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Result<std::vector<StoredTensor>> parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)));
}

std::string message_of(const std::string& file) {
  const auto result = parse(file);
  return result ? "accepted" : result.status().message;
}

// One tensor `t` with this entry, and `data_bytes` of data behind it.
std::string with_entry(const std::string& entry, size_t data_bytes) {
  return safetensors_file(R"({"t":)" + entry + "}", std::string(data_bytes, 'x'));
}

TEST(SafetensorsHeader, reads_tensors_in_the_order_of_their_data) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("late":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
                             R"("empty":{"dtype":"U8","shape":[0,5],"data_offsets":[12,12]},)"
                             R"("early":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}})";
  const auto tensors = parse(safetensors_file(header, std::string(20, 'x')));
  ASSERT_TRUE(tensors) << tensors.status().message;
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ((*tensors)[0].name, "early");
  EXPECT_EQ((*tensors)[0].shape, (Shape{2, 3}));
  EXPECT_STREQ((*tensors)[0].type->name, "BF16");
  EXPECT_EQ((*tensors)[0].begin, 8 + header.size());
  EXPECT_EQ((*tensors)[1].name, "empty");
  EXPECT_EQ((*tensors)[2].name, "late");
  EXPECT_EQ((*tensors)[2].end, 8 + header.size() + 20);
}

TEST(SafetensorsHeader, the_length_must_fit_the_file) {
  EXPECT_THAT(message_of(""), HasSubstr("found 0 bytes, expected at least 8"));
  EXPECT_THAT(message_of("1234567"), HasSubstr("found 7 bytes"));
  std::string huge(8, '\xFF');
  EXPECT_THAT(message_of(huge), HasSubstr("found a header of 18446744073709551615 bytes"));
  std::string cut = safetensors_file("{}", "");
  cut.pop_back();
  EXPECT_THAT(message_of(cut), AllOf(HasSubstr("header of 2 bytes"), HasSubstr("at most 1,")));
}

TEST(SafetensorsHeader, the_json_must_be_a_shallow_object) {
  EXPECT_THAT(message_of(safetensors_file("[]", "")), HasSubstr("found array, expected an object"));
  EXPECT_THAT(message_of(safetensors_file("{\"a\":", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(message_of(with_entry(std::string(1000, '['), 0)), HasSubstr("nested deeper than 4"));
  EXPECT_THAT(message_of(safetensors_file(std::string(100000, '['), "")), HasSubstr("header:"));
}

struct BadEntry {
  const char* what;
  const char* entry;
  size_t data_bytes;
  std::vector<const char*> says;
};

TEST(SafetensorsHeader, a_wrong_entry_names_tensor_found_and_expected) {
  const BadEntry cases[] = {
      {"no object", "3", 0, {"found integer", "expected an object"}},
      {"unknown type, negative dimension",
       R"({"dtype":"F4","shape":[-2],"data_offsets":[0,1]})",
       1,
       {"shape: found [-2]", "integers >= 0"}},
      {"unknown type, outside the file",
       R"({"dtype":"F4","shape":[4],"data_offsets":[0,2]})",
       1,
       {"found an end at 2", "expected at most 1"}},
      {"type not text", R"({"dtype":1,"shape":[2],"data_offsets":[0,1]})", 1, {"dtype: found 1"}},
      {"no shape", R"({"dtype":"F32","x":[2],"data_offsets":[0,8]})", 8, {"the key \"x\""}},
      {"a key missing", R"({"dtype":"F32","data_offsets":[0,8]})", 8, {"each of dtype, shape"}},
      {"a key twice",
       R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})",
       8,
       {"each of dtype, shape"}},
      {"negative dimension",
       R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})",
       8,
       {"shape: found [-2]", "integers >= 0"}},
      {"fraction", R"({"dtype":"F32","shape":[2.5],"data_offsets":[0,8]})", 8, {"found [2.5]"}},
      {"overflow of elements",
       R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
       0,
       {"shape: found [4294967296, 4294967296]", "63 bits"}},
      {"overflow of bytes",
       R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})",
       0,
       {"shape: found [2305843009213693952]", "63 bits"}},
      {"beyond 63 bits",
       R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]})",
       0,
       {"found 0 bytes, expected 9223372036854775807"}},
      {"too few bytes",
       R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,20]})",
       20,
       {"found 20 bytes", "expected 24 for F32 [2, 3]"}},
      {"too many bytes",
       R"({"dtype":"BF16","shape":[2],"data_offsets":[0,8]})",
       8,
       {"found 8 bytes", "expected 4 for BF16 [2]"}},
      {"end before begin",
       R"({"dtype":"U8","shape":[2],"data_offsets":[4,2]})",
       4,
       {"data_offsets: found [4,2]", "begin <= end"}},
      {"three offsets",
       R"({"dtype":"U8","shape":[2],"data_offsets":[0,2,2]})",
       2,
       {"data_offsets: found [0,2,2]"}},
      {"outside the file",
       R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})",
       8,
       {"found an end at 9", "expected at most 8", "truncated"}},
      {"far outside",
       R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]})",
       8,
       {"found an end at 9223372036854775807"}},
      {"a gap in front",
       R"({"dtype":"U8","shape":[4],"data_offsets":[4,8]})",
       8,
       {"found a beginning at 4", "expected 0", "gap"}},
  };
  for (const BadEntry& c : cases) {
    const auto result = parse(with_entry(c.entry, c.data_bytes));
    ASSERT_FALSE(result) << c.what;
    EXPECT_EQ(result.status().param, "t") << c.what;
    EXPECT_THAT(result.status().message, HasSubstr("tensor \"t\"")) << c.what;
    for (const char* words : c.says)
      EXPECT_THAT(result.status().message, HasSubstr(words)) << c.what;
  }
}

TEST(SafetensorsHeader, what_cannot_be_read_says_why_and_refuses_nothing_else) {
  const auto result = parse(safetensors_file({{"new", "F4", {4}, "12"},
                                              {"deep", "U8", {1, 1, 1, 1, 8}, "12345678"},
                                              {"a", "U8", {2}, "12"}}));
  ASSERT_TRUE(result) << result.status().message;
  ASSERT_EQ(result->size(), 3u);
  EXPECT_THAT((*result)[0].unreadable, HasSubstr("dtype: found \"F4\""));
  EXPECT_EQ((*result)[0].end - (*result)[0].begin, 2u);
  EXPECT_THAT((*result)[1].unreadable, HasSubstr("shape: found [1,1,1,1,8]"));
  EXPECT_EQ((*result)[2].unreadable, "");
  EXPECT_EQ((*result)[2].type->bytes, 1);
}

TEST(SafetensorsHeader, what_is_no_such_file_says_what_it_is) {
  EXPECT_THAT(message_of(""), HasSubstr("an empty one; download it again"));
  EXPECT_THAT(message_of("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"),
              HasSubstr("git lfs pull"));
  for (const char* other : {"<!DOCTYPE html><html>", "PK\x03\x04 a zip archive", "GGUF........"})
    EXPECT_THAT(message_of(other), HasSubstr("not a safetensors file")) << other;
}

TEST(SafetensorsHeader, tensors_tile_the_data) {
  const auto two = [](const char* first, const char* second) {
    return safetensors_file(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") +
                                first + R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" +
                                second + "}}",
                            std::string(8, 'x'));
  };
  EXPECT_EQ(message_of(two("[0,4]", "[4,8]")), "accepted");
  EXPECT_EQ(message_of(two("[4,8]", "[0,4]")), "accepted");
  EXPECT_THAT(message_of(two("[0,4]", "[3,7]")),
              AllOf(HasSubstr("tensor \"b\""), HasSubstr("found a beginning at 3, expected 4"),
                    HasSubstr("overlap")));
  EXPECT_THAT(message_of(two("[0,4]", "[0,4]")),
              AllOf(HasSubstr("tensor \"b\""), HasSubstr("overlap")));
  const std::string trailing = safetensors_file({{"a", "U8", {4}, "1234"}}) + "5";
  EXPECT_THAT(message_of(trailing), HasSubstr("found 5 bytes of data, expected 4"));
}

TEST(SafetensorsHeader, names_are_single_and_bounded) {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_THAT(message_of(safetensors_file("{\"a\":" + entry + ",\"a\":" + entry + "}", "")),
              HasSubstr("tensor \"a\": found twice"));
  const std::string longest(kMaxTensorNameBytes, 'n');
  EXPECT_EQ(message_of(safetensors_file({{longest, "U8", {0}, ""}})), "accepted");
  EXPECT_THAT(message_of(safetensors_file({{longest + "n", "U8", {0}, ""}})),
              HasSubstr("found a name of 513 bytes, expected 1 to 512"));
  EXPECT_THAT(message_of(safetensors_file({{"", "U8", {0}, ""}})), HasSubstr("a name of 0 bytes"));
  EXPECT_EQ(quote_name("a\nb"), R"("a\nb")");
}

}  // namespace
}  // namespace erne::weights
