#include "base/log_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace erne {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read_until(const std::string& end) {
    std::string text;
    char bytes[4096];
    while (text.find(end) == std::string::npos) {
      const ssize_t count = ::read(ends[0], bytes, sizeof(bytes));
      if (count <= 0) break;
      text.append(bytes, static_cast<size_t>(count));
    }
    return text;
  }
  int ends[2];
};

TEST(LogWriter, WritesLinesInOrder) {
  Pipe pipe;
  LogWriter writer(pipe.ends[1], 1 << 20);
  writer.add("one");
  writer.add("two");
  EXPECT_TRUE(writer.flush(seconds(30)));
  EXPECT_EQ(pipe.read_until("two\n"), "one\ntwo\n");
}

TEST(LogWriter, NobodyWaitsForAReaderWhoDoesNotRead) {
  Pipe pipe;
  LogWriter writer(pipe.ends[1], 256 << 10);
  const std::string line(999, 'x');
  for (int i = 0; i < 2000; ++i) writer.add(line);  // 2 MB; a pipe takes 64 KiB
  EXPECT_FALSE(writer.flush(milliseconds(50)));
  // Whoever reads at last learns that lines are missing.
  const std::string text = pipe.read_until("were dropped here");
  EXPECT_THAT(text, HasSubstr(line));
}

TEST(LogWriter, EndsThoughNobodyReads) {
  Pipe pipe;
  LogWriter writer(pipe.ends[1], 1 << 20);
  writer.add(std::string(500'000, 'x'));
}

}  // namespace
}  // namespace erne
