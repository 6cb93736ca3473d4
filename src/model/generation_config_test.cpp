#include "model/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_folder_fixture.h"

namespace erne::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ErnieConfig small_model() {
  ErnieConfig config;
  config.vocab_size = 103424;
  config.eos_token_ids = {2};
  return config;
}

const ErnieConfig kModel = small_model();

TEST(GenerationConfig, reads_defaults_and_end_tokens) {
  const GenerationConfig config = parse_generation_config(
      R"({"do_sample":true,"temperature":0.8,"top_p":0.8,"top_k":50,"repetition_penalty":1.1,
          "eos_token_id":[2,100272],"transformers_version":"4"})",
      kModel);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2, 100272));
  EXPECT_EQ(config.temperature, 0.8);
  EXPECT_EQ(config.top_p, 0.8);
  EXPECT_EQ(config.top_k, 50);
  EXPECT_EQ(config.repetition_penalty, 1.1);
  EXPECT_THAT(config.warnings, IsEmpty());

  const GenerationConfig empty = parse_generation_config("{}", kModel);
  EXPECT_THAT(empty.eos_token_ids, ElementsAre(2));
  EXPECT_FALSE(empty.temperature || empty.top_p || empty.top_k || empty.repetition_penalty);
  EXPECT_EQ(parse_generation_config(R"({"do_sample":false,"temperature":0.8})", kModel).temperature,
            0.0);
  EXPECT_EQ(parse_generation_config(R"({"temperature":0})", kModel).temperature, 0.0);
}

struct Odd {
  const char* text;
  const char* warning;  // empty: it is no matter
  GenerationConfig expected = {};
};

TEST(GenerationConfig, odd_values_are_brought_into_range_or_passed_over_and_named) {
  const Odd cases[] = {
      {R"({"top_k":-1})", "", {.eos_token_ids = {2}, .top_k = 0}},
      {R"({"top_k":0})", "", {.eos_token_ids = {2}, .top_k = 0}},
      {R"({"top_k":50.0})", "", {.eos_token_ids = {2}, .top_k = 50}},
      {R"({"top_k":null})", "", {.eos_token_ids = {2}}},
      {R"({"top_k":200000})", "top_k: found 200000", {.eos_token_ids = {2}, .top_k = 103424}},
      {R"({"top_k":9223372036854775807})", "top_k: found", {.eos_token_ids = {2}, .top_k = 103424}},
      {R"({"top_k":-5})", "top_k: found -5", {.eos_token_ids = {2}, .top_k = 0}},
      {R"({"top_k":"50"})", "top_k: found \"50\"", {.eos_token_ids = {2}}},
      {R"({"top_k":1.5})", "top_k: found 1.5", {.eos_token_ids = {2}}},
      {R"({"top_p":0})", "top_p: found 0", {.eos_token_ids = {2}, .top_p = 1e-5}},
      {R"({"top_p":1.5})", "top_p: found 1.5", {.eos_token_ids = {2}, .top_p = 1}},
      {R"({"top_p":[0.9]})", "top_p: found [0.9]", {.eos_token_ids = {2}}},
      {R"({"temperature":-1})", "temperature: found -1", {.eos_token_ids = {2}, .temperature = 0}},
      {R"({"temperature":1e9})", "taken as 100", {.eos_token_ids = {2}, .temperature = 100}},
      {R"({"temperature":"0.7"})", "temperature: found \"0.7\"", {.eos_token_ids = {2}}},
      {R"({"temperature":null})", "", {.eos_token_ids = {2}}},
      {R"({"temperature":true})", "temperature: found true", {.eos_token_ids = {2}}},
      {R"({"do_sample":1})", "do_sample: found 1", {.eos_token_ids = {2}}},
      {R"({"repetition_penalty":0})",
       "repetition_penalty: found 0",
       {.eos_token_ids = {2}, .repetition_penalty = 0.01}},
      {R"({"eos_token_id":103424})", "eos_token_id: found 103424", {.eos_token_ids = {2}}},
      {R"({"eos_token_id":[7,103424]})", "eos_token_id: found [7,103424]", {.eos_token_ids = {7}}},
      {R"({"eos_token_id":-1})", "eos_token_id: found -1", {.eos_token_ids = {2}}},
      {R"({"eos_token_id":"</s>"})", "eos_token_id: found \"</s>\"", {.eos_token_ids = {2}}},
      {R"({"eos_token_id":[[2]]})", "eos_token_id: found [[2]]", {.eos_token_ids = {2}}},
      {R"({"eos_token_id":[]})", "", {.eos_token_ids = {2}}},
      {R"({"eos_token_id":5.0})", "", {.eos_token_ids = {5}}},
      {"", "passed over", {.eos_token_ids = {2}}},
      {"[]", "passed over", {.eos_token_ids = {2}}},
      {"{", "passed over", {.eos_token_ids = {2}}},
  };
  for (const Odd& c : cases) {
    const GenerationConfig found = parse_generation_config(c.text, kModel);
    EXPECT_EQ(found.eos_token_ids, c.expected.eos_token_ids) << c.text;
    EXPECT_EQ(found.temperature, c.expected.temperature) << c.text;
    EXPECT_EQ(found.top_p, c.expected.top_p) << c.text;
    EXPECT_EQ(found.top_k, c.expected.top_k) << c.text;
    EXPECT_EQ(found.repetition_penalty, c.expected.repetition_penalty) << c.text;
    if (*c.warning == '\0')
      EXPECT_THAT(found.warnings, IsEmpty()) << c.text;
    else
      EXPECT_THAT(found.warnings, ElementsAre(HasSubstr(c.warning))) << c.text;
  }
}

TEST(GenerationConfig, a_file_that_cannot_be_read_stops_nothing) {
  const TempFolder folder;
  EXPECT_THAT(read_generation_config(folder.path(), kModel).eos_token_ids, ElementsAre(2));
  for (const char* text : {"", "nonsense", "version https://git-lfs.github.com/spec/v1\n"}) {
    folder.write("generation_config.json", text);
    EXPECT_THAT(read_generation_config(folder.path(), kModel).eos_token_ids, ElementsAre(2));
  }
  folder.write("generation_config.json", std::string(2 << 20, ' '));
  EXPECT_THAT(read_generation_config(folder.path(), kModel).eos_token_ids, ElementsAre(2));
  std::filesystem::remove(folder.path() / "generation_config.json");
  std::filesystem::create_directory(folder.path() / "generation_config.json");
  EXPECT_THAT(read_generation_config(folder.path(), kModel).eos_token_ids, ElementsAre(2));
}

}  // namespace
}  // namespace erne::model
