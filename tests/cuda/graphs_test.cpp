// Which steps become graphs.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <memory>

#include "cuda/cuda_backend.h"

namespace erne::cuda::inline emulated {
namespace {

class Graphs : public testing::Test {
 protected:
  // How often the body of a step is called that comes so many times.
  int calls(const RunKey& key, int times) {
    int count = 0;
    for (int i = 0; i < times; ++i) backend_->run(key, [&] { ++count; });
    return count;
  }
  std::unique_ptr<Backend> backend_ = make_cuda_backend(0, [](int64_t, const auto&) {}).value();
};

TEST_F(Graphs, AreRecordedWhenASizeComesAgainAndThenRepeated) {
  EXPECT_EQ(calls({"step", 3, 2}, 5), 2);
  EXPECT_EQ(calls({"step", 3, 2}, 5), 0);
  EXPECT_EQ(calls({"step", 3, 3}, 5), 2) << "another size";
  EXPECT_EQ(calls({"logits", 3, 2}, 5), 2) << "another body";
}

TEST_F(Graphs, AreForStepsThatAreSoonerDoneThanLaunched) {
  EXPECT_EQ(calls({"step", 512, 1}, 5), 2);
  EXPECT_EQ(calls({"step", 513, 1}, 5), 5);
}

// They take memory, of which a server that runs for long must not take ever more; and prompts, cut
// in so many ways, leave those of decoding alone.
TEST_F(Graphs, AreBoundedInNumberForPromptsAndForDecodingApart) {
  for (int tokens = 2; tokens < 2 + 256; ++tokens) EXPECT_EQ(calls({"step", tokens, 1}, 4), 2);
  EXPECT_EQ(calls({"step", 300, 1}, 4), 4);
  for (int rows = 1; rows <= 256; ++rows) EXPECT_EQ(calls({"step", rows, rows}, 4), 2);
  EXPECT_EQ(calls({"step", 257, 257}, 4), 4);
  EXPECT_EQ(calls({"step", 2, 1}, 4), 0) << "what there is stays";
}

}  // namespace
}  // namespace erne::cuda::inline emulated
