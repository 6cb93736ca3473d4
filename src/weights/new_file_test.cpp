#include "weights/new_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "base/temp_folder_fixture.h"

namespace erne::weights {
namespace {

namespace fs = std::filesystem;

size_t count(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

TEST(NewFile, appears_when_it_is_finished_and_replaces_what_was_there) {
  const TempFolder folder;
  const fs::path path = folder.path() / "f";
  folder.write("f", "old");
  auto file = NewFile::create(path).value();
  ASSERT_TRUE(file.write("new ").ok() && file.write("bytes").ok());
  EXPECT_EQ(bytes_of_file(path), "old");
  ASSERT_TRUE(file.finish().ok());
  EXPECT_EQ(bytes_of_file(path), "new bytes");
  EXPECT_EQ(count(folder.path()), 1u);
}

TEST(NewFile, one_that_is_given_up_leaves_nothing) {
  const TempFolder folder;
  {
    auto file = NewFile::create(folder.path() / "f").value();
    ASSERT_TRUE(file.write("some").ok());
  }
  EXPECT_EQ(count(folder.path()), 0u);
}

TEST(NewFile, follows_no_link) {
  const TempFolder folder;
  folder.write("precious", "kept");
  for (const char* link : {"f", "f.0.unfinished"})
    fs::create_symlink(folder.path() / "precious", folder.path() / link);
  auto file = NewFile::create(folder.path() / "f").value();
  ASSERT_TRUE(file.write("new").ok() && file.finish().ok());
  EXPECT_EQ(bytes_of_file(folder.path() / "f"), "new");
  EXPECT_FALSE(fs::is_symlink(folder.path() / "f"));
  EXPECT_EQ(bytes_of_file(folder.path() / "precious"), "kept");
}

TEST(NewFile, a_folder_that_is_not_there_is_an_error) {
  const TempFolder folder;
  EXPECT_EQ(NewFile::create(folder.path() / "no/f").status().message, "No such file or directory");
}

TEST(NewFile, what_ended_writers_left_is_removed_and_what_is_being_written_is_not) {
  const TempFolder folder;
  folder.write("a.safetensors.1234.unfinished", "left by an older release");
  folder.write("b.0.unfinished", "left");
  folder.write("kept.safetensors", "whole");
  auto file = NewFile::create(folder.path() / "b").value();
  remove_unfinished(folder.path());
  EXPECT_EQ(count(folder.path()), 2u);
  ASSERT_TRUE(file.write("x").ok() && file.finish().ok());
  EXPECT_EQ(bytes_of_file(folder.path() / "b"), "x");
  remove_unfinished(folder.path() / "no such folder");
}

}  // namespace
}  // namespace erne::weights
