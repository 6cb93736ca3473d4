#include "weights/checkpoint_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weights/checkpoint_fixture.h"

namespace erne::weights {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kIndex[] = R"({"weight_map":{"a":"model-00001-of-00002.safetensors",
                              "b":"model-00002-of-00002.safetensors"}})";

WeightFiles found_in(const TempFolder& folder) {
  auto found = find_weight_files(folder.path());
  EXPECT_TRUE(found) << found.status().message;
  return found ? *found : WeightFiles();
}

Status refusal(const TempFolder& folder) {
  const auto found = find_weight_files(folder.path());
  return found ? Status{Code::kInternal, "accepted"} : found.status();
}

void make(const TempFolder& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) folder.write(name, "x");
}

TEST(CheckpointFiles, an_index_whose_shards_are_there_decides) {
  const TempFolder folder;
  make(folder, {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
  folder.write(kIndexFile, kIndex);
  EXPECT_THAT(found_in(folder).files,
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_THAT(found_in(folder).warnings, IsEmpty());
  make(folder, {kSingleFile});
  EXPECT_EQ(found_in(folder).files.size(), 2u);
  EXPECT_THAT(found_in(folder).warnings, ElementsAre(HasSubstr("model.safetensors is not read")));
}

TEST(CheckpointFiles, a_whole_file_beside_a_stale_index_is_read) {
  for (const char* index : {kIndex, "", "{", "[]", R"({"weight_map":{}})",
                            "version https://git-lfs.github.com/spec/v1\n"}) {
    const TempFolder folder;
    make(folder, {kSingleFile, "model-00001-of-00002.safetensors"});
    folder.write(kIndexFile, index);
    const WeightFiles found = found_in(folder);
    EXPECT_THAT(found.files, ElementsAre(kSingleFile)) << index;
    EXPECT_THAT(found.index, IsEmpty());
    EXPECT_THAT(found.warnings, ElementsAre(AllOf(HasSubstr("is not believed"),
                                                  HasSubstr("reading \"model.safetensors\""))));
  }
}

TEST(CheckpointFiles, all_shards_of_one_model_need_no_index) {
  const TempFolder folder;
  make(folder, {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                "optimizer-00001-of-00001.safetensors", "adapter_model.safetensors",
                "consolidated.safetensors", "._model-00001-of-00002.safetensors", ".DS_Store",
                "model.safetensors.index.json.bak", "training_args.bin", "README.md"});
  const WeightFiles found = found_in(folder);
  EXPECT_THAT(found.files,
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("holds neither")));
  std::filesystem::remove(folder.path() / "model-00001-of-00002.safetensors");
  EXPECT_THAT(refusal(folder).message,
              AllOf(HasSubstr("1 of 2 shards are there"), HasSubstr("download it whole")));
}

TEST(CheckpointFiles, one_file_of_another_name_is_the_model) {
  const TempFolder folder;
  make(folder, {"consolidated.safetensors", "optimizer.safetensors", "._model.safetensors"});
  EXPECT_THAT(found_in(folder).files, ElementsAre("consolidated.safetensors"));
  make(folder, {"ema.safetensors"});
  EXPECT_THAT(refusal(folder).message,
              AllOf(HasSubstr("consolidated.safetensors"), HasSubstr("ema.safetensors"),
                    HasSubstr("which of them are the model")));
}

TEST(CheckpointFiles, what_is_no_model_says_what_to_do) {
  const std::pair<const char*, const char*> cases[] = {
      {"adapter_model.safetensors", "merge"},
      {"adapter_config.json", "merge"},
      {"adapter_model.bin", "merge"},
      {"peft_model-00001-of-00001.safetensors", "merge"},
      {"lora_model_state.pdparams", "merge"},
      {"pytorch_model.bin", "save_pretrained"},
      {"pytorch_model-00001-of-00003.bin", "save_pretrained"},
      {"consolidated.00.pth", "save_pretrained"},
      {"model_state.pdparams", "export them as safetensors"},
      {"ERNIE-4.5-0.3B-Q4_K_M.gguf", "GGUF"},
      {"tf_model.h5", "save_pretrained"},
      {"__0_0.distcp", "gather it"},
      {"global_step100/mp_rank_00_model_states.pt", "gather it"},
      {"model.safetensors.incomplete", "unfinished"},
      {"._____temp/model.safetensors", "unfinished"},
      {".cache/huggingface/download/abc.incomplete", "unfinished"},
      {"model.safetensors.aria2", "unfinished"},
  };
  for (const auto& [file, says] : cases) {
    const TempFolder folder;
    make(folder, {file, "tokenizer.model", "optimizer.pt"});
    EXPECT_EQ(refusal(folder).code, Code::kNotFound) << file;
    EXPECT_THAT(refusal(folder).message,
                AllOf(HasSubstr("holds neither model.safetensors nor"), HasSubstr(says)))
        << file;
  }
}

TEST(CheckpointFiles, a_missing_shard_says_why) {
  const TempFolder folder;
  make(folder, {"model-00001-of-00002.safetensors"});
  folder.write(kIndexFile, kIndex);
  EXPECT_THAT(found_in(folder).missing, ElementsAre("model-00002-of-00002.safetensors"));
  // As in a hub's cache whose blob is not there yet.
  std::filesystem::create_symlink("../../blobs/abc",
                                  folder.path() / "model-00002-of-00002.safetensors");
  EXPECT_THAT(found_in(folder).missing, ElementsAre("model-00002-of-00002.safetensors"));
}

}  // namespace
}  // namespace erne::weights
