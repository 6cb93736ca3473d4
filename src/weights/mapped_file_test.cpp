#include "weights/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_folder_fixture.h"

namespace erne::weights {
namespace {

// Touches every page, so that none is left out.
int sum(std::span<const std::byte> bytes) {
  int total = 0;
  for (size_t at = 0; at < bytes.size(); at += 512) total += static_cast<int>(bytes[at]);
  return total;
}

TEST(MappedFileDeathTest, a_file_that_is_cut_short_ends_the_process_with_its_name) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TempFolder folder;
  folder.write("model.safetensors", std::string(1 << 20, 'x'));
  const std::filesystem::path path = folder.path() / "model.safetensors";
  EXPECT_EXIT(
      {
        const MappedFile other = MappedFile::open("/proc/self/exe").value();
        MappedFile first = MappedFile::open(path).value();
        const MappedFile file = std::move(first);
        std::filesystem::resize_file(path, 4096);
        std::exit(sum(file.bytes()) == 0 ? 2 : 3);
      },
      testing::ExitedWithCode(1), "model.safetensors was cut short while its bytes were in use");
}

}  // namespace
}  // namespace erne::weights
