#include "weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
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

// What an index and its shards say differently concerns whoever needs the tensor; the file that
// holds one counts.
TEST(Checkpoint, an_index_that_is_wrong_is_warned_of_and_does_not_stop) {
  TempFolder folder;
  folder.write("one.safetensors", safetensors_file({bytes_tensor("a", "alpha")}));
  folder.write("two.safetensors", safetensors_file({bytes_tensor("b", "beta")}));
  const auto open = [&](const char* weight_map) {
    write_index(folder, weight_map);
    auto opened = Checkpoint::open(folder.path());
    EXPECT_TRUE(opened) << opened.status().message;
    return std::move(opened).value();
  };
  const Checkpoint nowhere =
      open(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})");
  EXPECT_EQ(nowhere.find("c"), nullptr);
  EXPECT_THAT(nowhere.why_missing("c"), HasSubstr("two.safetensors\" by"));
  EXPECT_THAT(
      nowhere.warnings(),
      ElementsAre(AllOf(HasSubstr("1 tensors that it names are nowhere"), HasSubstr("\"c\""))));

  const Checkpoint unnamed = open(R"({"a":"one.safetensors","x":"two.safetensors"})");
  EXPECT_EQ(text_of(*unnamed.find("b")), "beta");
  EXPECT_THAT(unnamed.warnings(), Contains(AllOf(HasSubstr("not in it"), HasSubstr("\"b\""))));

  const Checkpoint misplaced = open(R"({"a":"two.safetensors","b":"one.safetensors"})");
  EXPECT_EQ(misplaced.find("a")->file, "one.safetensors");
  EXPECT_THAT(misplaced.warnings(), ElementsAre(HasSubstr("2 tensors are in other files")));

  const Checkpoint cut = open(R"({"a":"one.safetensors","b":"gone.safetensors"})");
  EXPECT_EQ(text_of(*cut.find("a")), "alpha");
  EXPECT_THAT(cut.why_missing("b"), AllOf(HasSubstr("gone.safetensors"), HasSubstr("missing"),
                                          HasSubstr("download it again")));
}

TEST(Checkpoint, of_two_tensors_of_one_name_the_index_takes_one) {
  TempFolder folder;
  folder.write("one.safetensors", safetensors_file({bytes_tensor("a", "alpha")}));
  folder.write("two.safetensors",
               safetensors_file({bytes_tensor("a", "other"), bytes_tensor("b", "beta")}));
  for (const char* home : {"one.safetensors", "two.safetensors"}) {
    write_index(folder, std::string(R"({"b":"two.safetensors","c":"one.safetensors","a":")") +
                            home + "\"}");
    const auto opened = Checkpoint::open(folder.path());
    ASSERT_TRUE(opened) << opened.status().message;
    EXPECT_EQ(opened->find("a")->file, home);
  }
  write_index(folder, R"({"b":"two.safetensors","c":"one.safetensors"})");
  EXPECT_THAT(message_of(folder), AllOf(HasSubstr("tensor \"a\": found in \"one.safetensors\""),
                                        HasSubstr("and in \"two.safetensors\"")));
}

TEST(Checkpoint, tensors_of_unknown_types_and_ranks_are_passed_over) {
  TempFolder folder;
  folder.write("model.safetensors", safetensors_file({bytes_tensor("a", "alpha"),
                                                      {"mx", "F8_E8M0", {4}, "1234"},
                                                      {"complex", "C64", {1}, "12345678"},
                                                      {"half byte", "F4", {4}, "12"},
                                                      {"deep", "U8", {1, 1, 1, 2, 2}, "1234"},
                                                      {"later", "X128", {}, ""}}));
  const auto opened = Checkpoint::open(folder.path());
  ASSERT_TRUE(opened) << opened.status().message;
  EXPECT_EQ(text_of(*opened->find("a")), "alpha");
  EXPECT_THAT(opened->unreadable(), ElementsAre("complex", "deep", "half byte", "later", "mx"));
  EXPECT_EQ(opened->find("mx"), nullptr);
  EXPECT_THAT(opened->why_missing("mx"), HasSubstr("dtype: found \"F8_E8M0\""));
  EXPECT_THAT(opened->why_missing("deep"), HasSubstr("shape: found [1,1,1,2,2]"));
}

TEST(Checkpoint, names_are_the_usual_ones_whatever_wrapped_the_model) {
  for (const char* front : {"", "module.", "_orig_mod.", "base_model.model.", "model.",
                            "module._orig_mod.", "_fsdp_wrapped_module."}) {
    TempFolder folder;
    const std::string before = front;
    folder.write("model.safetensors",
                 safetensors_file({bytes_tensor(before + "model.embed_tokens.weight", "e"),
                                   bytes_tensor(before + "model.layers.0._orig_mod.x", "x"),
                                   bytes_tensor(before + "lm_head.weight", "h"),
                                   bytes_tensor("value_head", "v")}));
    const auto opened = Checkpoint::open(folder.path());
    ASSERT_TRUE(opened) << opened.status().message;
    for (const char* name :
         {"model.embed_tokens.weight", "model.layers.0.x", "lm_head.weight", "value_head"})
      EXPECT_NE(opened->find(name), nullptr) << front << name;
  }
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

TEST(Checkpoint, files_are_known_by_what_they_hold_and_when_they_changed) {
  TempFolder folder, copy;
  const std::string bytes = safetensors_file({bytes_tensor("a", "alpha")});
  const auto known = [](const TempFolder& of) {
    const Checkpoint checkpoint = Checkpoint::open(of.path()).value();
    constexpr int64_t kLater = 1'000;
    return std::pair(checkpoint.fingerprint(), checkpoint.identity(std::time(nullptr) + kLater));
  };
  folder.write("model.safetensors", bytes);
  copy.write("model.safetensors", bytes);
  const auto time = std::filesystem::last_write_time(folder.path() / "model.safetensors");
  std::filesystem::last_write_time(copy.path() / "model.safetensors", time);
  const auto first = known(folder);
  EXPECT_EQ(known(folder), first);
  EXPECT_EQ(known(copy).first, first.first);
  EXPECT_NE(known(copy).second, first.second) << "another file";
  // The same file, size and time of change as far as a tool can set it.
  for (int i = 0; i < 100'000 && known(folder).second == first.second; ++i) {  // times are coarse
    folder.write("model.safetensors", safetensors_file({bytes_tensor("a", "omega")}));
    std::filesystem::last_write_time(folder.path() / "model.safetensors", time);
  }
  EXPECT_NE(known(folder).first, first.first);
  EXPECT_NE(known(folder).second, first.second);
  EXPECT_EQ(Checkpoint::open(folder.path())->identity(std::time(nullptr)), "")
      << "changed a moment ago";
}

TEST(Checkpoint, only_regular_files_are_read) {
  TempFolder folder;
  ASSERT_EQ(::mkfifo((folder.path() / "model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(message_of(folder),
              HasSubstr("not a regular file"));  // and does not wait for a writer
}

}  // namespace
}  // namespace erne::weights
