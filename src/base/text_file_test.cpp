#include "base/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp_folder_fixture.h"

namespace erne {
namespace {

TEST(TextFile, ReadsUpToTheLimit) {
  const TempFolder folder;
  folder.write("a", "12345");
  folder.write("empty", "");
  EXPECT_EQ(read_text_file(folder.file("a"), 5, "--f").value(), "12345");
  EXPECT_EQ(read_text_file(folder.file("empty"), 0, "--f").value(), "");
  const auto refused = read_text_file(folder.file("a"), 4, "--f");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--f");
  EXPECT_NE(refused.status().message.find("4 bytes"), std::string::npos);
  const std::string large(300'000, 'x');
  folder.write("large", large);
  EXPECT_EQ(read_text_file(folder.file("large"), 300'000, "--f").value(), large);
}

TEST(TextFile, RefusesWhateverIsNoFileAtOnce) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  ASSERT_EQ(symlink(folder.path().c_str(), folder.file("link").c_str()), 0);
  ASSERT_EQ(symlink("loop", folder.file("loop").c_str()), 0);
  const std::pair<std::string, std::string> cases[] = {
      {folder.path().string(), "a folder"},
      {folder.file("pipe"), "a pipe"},
      {folder.file("link"), "a folder"},
      {folder.file("loop"), "cannot be read"},
      {"/dev/zero", "a device"},
      {"/dev/tty", ""},
      {"", "cannot be read"},
      {folder.file("none"), "cannot be read"},
      {std::string(5000, 'x'), "cannot be"},
      {"/proc/kmsg", ""},
  };
  for (const auto& [path, why] : cases) {
    const auto read = read_text_file(path, 1000, "--f");
    ASSERT_FALSE(read.ok()) << path;
    EXPECT_NE(read.status().message.find(why), std::string::npos) << read.status().message;
    EXPECT_EQ(read.status().param, "--f");
  }
}

TEST(TextFile, MakesNewFilesOnlyAndFollowsNoLink) {
  const TempFolder folder;
  EXPECT_TRUE(write_new_file(folder.file("new"), "text", "--f").ok());
  EXPECT_EQ(read_text_file(folder.file("new"), 10, "--f").value(), "text");
  EXPECT_FALSE(write_new_file(folder.file("new"), "other", "--f").ok());
  ASSERT_EQ(symlink(folder.file("target").c_str(), folder.file("link").c_str()), 0);
  EXPECT_FALSE(write_new_file(folder.file("link"), "other", "--f").ok());
  EXPECT_FALSE(std::filesystem::exists(folder.file("target")));
  EXPECT_EQ(read_text_file(folder.file("new"), 10, "--f").value(), "text");
}

}  // namespace
}  // namespace erne
