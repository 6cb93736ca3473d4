#include "apps/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/temp_folder_fixture.h"

namespace erne::apps {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class QuantizeCommand : public testing::Test {
 protected:
  QuantizeCommand() { fs::copy(ERNE_SOURCE_DIR "/models/erne-tiny", from_); }

  // The exit status, and what was said on stderr.
  std::pair<int, std::string> run(const fs::path& from, const fs::path& to) {
    const std::vector<std::string> arguments = {
        "--model",  from.string(), "--quantization", "wint4_g128",
        "--output", to.string(),   "--threads",      "1"};
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const int status = run_quantize(arguments);
    testing::internal::GetCapturedStdout();
    return {status, testing::internal::GetCapturedStderr()};
  }

  TempFolder folder_;
  const fs::path from_ = folder_.path() / "from", to_ = folder_.path() / "to";
};

TEST_F(QuantizeCommand, SettingsAreCopiedAndNothingElse) {
  for (const char* other : {"optimizer.pt", "pytorch_model.bin", ".DS_Store", "._config.json"})
    folder_.write(std::string("from/") + other, "x");
  EXPECT_EQ(run(from_, to_).first, 0);
  for (const char* name : {"config.json", "tokenizer.model", "tokenizer_config.json",
                           "chat_template.jinja", "erne-packed.safetensors"})
    EXPECT_TRUE(fs::exists(to_ / name)) << name;
  for (const char* name : {"optimizer.pt", "pytorch_model.bin", ".DS_Store", "model.safetensors"})
    EXPECT_FALSE(fs::exists(to_ / name)) << name;
}

TEST_F(QuantizeCommand, AHubCachesLinksAreFollowedToItsBlobs) {
  const fs::path cache = folder_.path() / "models--erne--tiny";
  fs::create_directories(cache / "snapshots/abc");
  fs::rename(from_, cache / "blobs");
  for (const auto& entry : fs::directory_iterator(cache / "blobs"))
    fs::create_symlink(fs::path("../../blobs") / entry.path().filename(),
                       cache / "snapshots/abc" / entry.path().filename());
  EXPECT_EQ(run(cache, to_).first, 0);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(to_ / "tokenizer.model")));
}

TEST_F(QuantizeCommand, ALinkThatLeavesTheCheckpointIsRefused) {
  folder_.write("secret", "of somebody else");
  fs::create_symlink("../secret", from_ / "special_tokens_map.json");
  const auto [status, said] = run(from_, to_);
  EXPECT_EQ(status, 2);
  EXPECT_THAT(
      said, AllOf(HasSubstr("special_tokens_map.json"), HasSubstr("leads out of the checkpoint")));
  EXPECT_FALSE(fs::exists(to_ / "special_tokens_map.json"));
  EXPECT_FALSE(fs::exists(to_ / "config.json"));
}

TEST_F(QuantizeCommand, NothingIsWrittenIntoWhatIsThere) {
  EXPECT_THAT(run(from_, from_).second, HasSubstr("it is not empty"));
  fs::create_directories(folder_.path() / "empty");
  fs::create_directory_symlink(folder_.path() / "empty", to_);
  EXPECT_THAT(run(from_, to_).second, HasSubstr("it is a link"));
  EXPECT_TRUE(fs::is_empty(folder_.path() / "empty"));
  folder_.write("half/erne-packed.safetensors.0.unfinished", "left by a run that was killed");
  EXPECT_EQ(run(from_, folder_.path() / "half").first, 0);
}

}  // namespace
}  // namespace erne::apps
