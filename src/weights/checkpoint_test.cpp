#include "weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::HasSubstr;

FixtureTensor bytes_tensor(const std::string& name, const std::string& bytes) {
  return {name, "U8", {static_cast<int64_t>(bytes.size())}, bytes};
}

std::string message_of(const TempFolder& folder) {
  const auto result = Checkpoint::open(folder.path());
  return result ? "accepted" : result.status().message;
}

void write_index(const TempFolder& folder, const std::string& weight_map) {
  folder.write("model.safetensors.index.json",
               R"({"metadata":{},"weight_map":)" + weight_map + "}");
}

std::string text_of(const CheckpointTensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), static_cast<size_t>(tensor.shape[0])};
}

TEST(Checkpoint, opens_one_file) {
  TempFolder folder;
  folder.write("model.safetensors",
               safetensors_file({bytes_tensor("a", "alpha"), bytes_tensor("b", "beta")}));
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint) << checkpoint.status().message;
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(text_of(*checkpoint->find("b")), "beta");
  EXPECT_EQ(checkpoint->find("c"), nullptr);
}

TEST(Checkpoint, opens_shards_and_survives_a_move) {
  TempFolder folder;
  folder.write("one.safetensors", safetensors_file({bytes_tensor("a", "alpha")}));
  folder.write("two.safetensors", safetensors_file({bytes_tensor("b", "beta")}));
  folder.write("model.safetensors", "not looked at: the index decides");
  write_index(folder, R"({"a":"one.safetensors","b":"two.safetensors"})");
  auto opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.status().message;
  const Checkpoint checkpoint = std::move(opened).value();
  EXPECT_EQ(text_of(*checkpoint.find("a")), "alpha");
  EXPECT_EQ(text_of(*checkpoint.find("b")), "beta");
  EXPECT_EQ(checkpoint.find("b")->file, "two.safetensors");
}

TEST(Checkpoint, one_that_is_cut_for_ranks_says_how_many_it_needs) {
  TempFolder folder;
  for (const char* rank : {"rank0/", "rank1/"})
    folder.write(std::string(rank) + "model.safetensors", safetensors_file({}));
  const auto cut = Checkpoint::open(folder.path());
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.status().code, Code::kUnsupported);
  EXPECT_THAT(cut.status().message, HasSubstr("cut for 2 tensor-parallel ranks"));
}

TEST(Checkpoint, says_what_is_missing) {
  TempFolder folder;
  const auto none = Checkpoint::open(folder.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.status().code, Code::kNotFound);
  EXPECT_THAT(none.status().message, HasSubstr("neither model.safetensors nor"));

  write_index(folder, R"({"a":"one.safetensors"})");
  EXPECT_THAT(message_of(folder),
              AllOf(HasSubstr("tensor \"a\""), HasSubstr("expected in \"one.safetensors\""),
                    HasSubstr("missing")));
}

TEST(Checkpoint, an_index_and_its_shards_agree) {
  TempFolder folder;
  folder.write("one.safetensors", safetensors_file({bytes_tensor("a", "alpha")}));
  folder.write("two.safetensors", safetensors_file({bytes_tensor("b", "beta")}));
  write_index(folder, R"({"a":"one.safetensors","b":"one.safetensors"})");
  EXPECT_THAT(message_of(folder), AllOf(HasSubstr("tensor \"b\""), HasSubstr("does not hold it")));
  write_index(folder, R"({"a":"one.safetensors","c":"two.safetensors"})");
  EXPECT_THAT(message_of(folder),
              AllOf(HasSubstr("tensor \"b\": found in \"two.safetensors\", expected nowhere")));
  folder.write("two.safetensors", safetensors_file({bytes_tensor("a", "other")}));
  write_index(folder, R"({"a":"one.safetensors","b":"two.safetensors"})");
  EXPECT_THAT(message_of(folder),
              HasSubstr("tensor \"a\": found in \"two.safetensors\", expected in "
                        "\"one.safetensors\""));
}

TEST(Checkpoint, an_index_names_plain_files_only) {
  const char* refused[] = {"../one.safetensors",
                           "/etc/x.safetensors",
                           "a/b.safetensors",
                           "..\\\\x.safetensors",
                           ".safetensors",
                           "one.bin",
                           "",
                           "x\\u0000/.safetensors"};
  for (const char* file : refused) {
    const auto result =
        parse_safetensors_index(std::string(R"({"weight_map":{"t":")") + file + "\"}}");
    ASSERT_FALSE(result) << file;
    EXPECT_EQ(result.status().param, "t");
    EXPECT_THAT(result.status().message, AllOf(HasSubstr("tensor \"t\": found the file"),
                                               HasSubstr("expected the plain name")));
  }
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":{"t":1}})"));
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":{}})"));
  EXPECT_FALSE(parse_safetensors_index(R"({"weight_map":[]})"));
  EXPECT_FALSE(parse_safetensors_index(R"([])"));
  const auto twice =
      parse_safetensors_index(R"({"weight_map":{"t":"a.safetensors","t":"b.safetensors"}})");
  EXPECT_EQ(twice->at("t"), "b.safetensors") << "as Python reads it: the last one counts";
  EXPECT_TRUE(parse_safetensors_index(R"({"weight_map":{"t":"a.safetensors"}})"));
}

TEST(Checkpoint, a_file_error_names_the_file) {
  TempFolder folder;
  std::string file = safetensors_file({bytes_tensor("a", "alpha")});
  file.pop_back();
  folder.write("model.safetensors", file);
  EXPECT_THAT(message_of(folder),
              AllOf(HasSubstr("model.safetensors: tensor \"a\""), HasSubstr("found an end at 5"),
                    HasSubstr("expected at most 4")));
}

TEST(Checkpoint, only_regular_files_are_read) {
  TempFolder folder;
  ASSERT_EQ(::mkfifo((folder.path() / "model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(message_of(folder),
              HasSubstr("not a regular file"));  // and does not wait for a writer
}

}  // namespace
}  // namespace erne::weights
