#include "weights/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/temp_folder_fixture.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

Status refusal(const fs::path& named) {
  const auto found = find_model_folder(named, "--model");
  return found ? Status{Code::kInternal, "accepted"} : found.status();
}

TEST(ModelFolder, a_folder_with_a_configuration_is_itself) {
  const TempFolder folder;
  folder.write("config.json", "{}");
  folder.write("checkpoint-500/config.json", "{}");
  const auto found = find_model_folder(folder.path(), "--model");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, folder.path());
  EXPECT_EQ(found->note + found->warning, "");
}

TEST(ModelFolder, a_hub_cache_stands_for_its_main_snapshot) {
  const TempFolder folder;
  const fs::path cache = folder.path() / "models--baidu--ERNIE-4.5-0.3B-PT";
  folder.write("models--baidu--ERNIE-4.5-0.3B-PT/snapshots/aaa/config.json", "{}");
  const auto only = find_model_folder(cache, "--model");
  ASSERT_TRUE(only) << only.status().message;
  EXPECT_EQ(only->path, cache / "snapshots/aaa");
  EXPECT_THAT(only->note, HasSubstr("snapshot aaa"));
  EXPECT_EQ(only->warning, "");

  folder.write("models--baidu--ERNIE-4.5-0.3B-PT/snapshots/bbb/config.json", "{}");
  folder.write("models--baidu--ERNIE-4.5-0.3B-PT/refs/main", "aaa\n");
  fs::last_write_time(cache / "snapshots/bbb",
                      fs::last_write_time(cache / "snapshots/aaa") + std::chrono::hours(1));
  EXPECT_EQ(find_model_folder(cache, "--model")->path, cache / "snapshots/aaa");

  for (const char* main : {"ccc", "../../..", "/etc", ""}) {
    folder.write("models--baidu--ERNIE-4.5-0.3B-PT/refs/main", main);
    const auto newest = find_model_folder(cache, "--model");
    ASSERT_TRUE(newest) << newest.status().message;
    EXPECT_EQ(newest->path, cache / "snapshots/bbb") << main;
    EXPECT_NE(newest->warning, "") << main;
  }
}

TEST(ModelFolder, a_hub_cache_without_a_snapshot_is_unfinished) {
  const TempFolder folder;
  fs::create_directories(folder.path() / "snapshots/aaa");
  folder.write("refs/main", "aaa");
  EXPECT_EQ(refusal(folder.path()).param, "--model");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("unfinished"));
}

TEST(ModelFolder, a_checkpoint_further_down_is_suggested) {
  for (const char* below : {"hub/models/PaddlePaddle/ERNIE-4___5-0___3B-PT", "export", "a/b"}) {
    const TempFolder folder;
    const fs::path root = folder.path();
    folder.write(std::string(below) + "/config.json", "{}");
    folder.write("._____temp/x/config.json", "{}");
    const fs::path named = std::string(below).starts_with("hub") ? root / "hub" : root;
    EXPECT_THAT(refusal(named).message, HasSubstr("--model " + (root / below).string()));
    folder.write(std::string(below) + "-2/config.json", "{}");
    EXPECT_THAT(refusal(named).message,
                AllOf(HasSubstr("several checkpoints"), HasSubstr((root / below).string() + "-2")));
  }
}

TEST(ModelFolder, what_is_no_folder_says_what_to_name) {
  const TempFolder folder;
  EXPECT_THAT(refusal(folder.path() / "none").message, HasSubstr("no such folder"));
  folder.write("model.safetensors", "x");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("holds weights"));
  EXPECT_THAT(refusal(folder.path() / "model.safetensors").message, HasSubstr("is no folder"));
  folder.write("config.json", "{}");
  EXPECT_THAT(refusal(folder.path() / "model.safetensors").message,
              HasSubstr("name its folder, --model " + folder.path().string()));
  folder.write("q4.gguf", "x");
  EXPECT_THAT(refusal(folder.path() / "q4.gguf").message, HasSubstr("GGUF"));
}

TEST(ModelFolder, an_adapter_alone_is_to_be_merged) {
  const TempFolder folder;
  folder.write("adapter_config.json", "{}");
  folder.write("adapter_model.safetensors", "x");
  EXPECT_THAT(refusal(folder.path()).message, AllOf(HasSubstr("LoRA"), HasSubstr("merge")));
}

TEST(ModelFolder, an_id_that_a_cache_holds_is_pointed_to) {
  const TempFolder home;
  home.write("models--org--name-4.5/snapshots/aaa/config.json", "{}");
  home.write("org/other-4___5/config.json", "{}");
  const HubCaches caches{{home.path()}, {home.path()}};
  const auto says = [&](const char* id) {
    return find_model_folder(id, "--model", caches).status().message;
  };
  EXPECT_THAT(says("org/name-4.5"),
              HasSubstr("--model " + (home.path() / "models--org--name-4.5").string()));
  EXPECT_THAT(says("org/other-4.5"),
              HasSubstr("--model " + (home.path() / "org/other-4___5").string()));
  for (const char* id : {"org/none", "name-4.5", "../org", "/org/name", "a/b/c"})
    EXPECT_THAT(says(id), AllOf(HasSubstr("no such folder"), testing::Not(HasSubstr("cache"))));
}

}  // namespace
}  // namespace erne::weights
