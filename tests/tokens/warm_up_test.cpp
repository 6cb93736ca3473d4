// A server that has started never asks its device for memory again.
#include <gtest/gtest.h>

#include "cuda/emulation/global_memory.h"
#include "tokens/small_server.h"

namespace erne::tests {
namespace {

const Device& emulated_cuda() {
  return *std::ranges::find(other_devices(), std::string_view("cuda_emulated"),
                            [](const Device& device) { return std::string_view(device.name); });
}

Setting small_setting(const Types& types) {
  Setting s;
  s.device = &emulated_cuda();
  s.types = types;
  s.max_rows = 3;
  s.max_tokens = 40;
  s.model_len = 64;
  s.num_blocks = 3 * s.least_blocks();
  s.share_prefixes = false;
  return s;
}

TEST(WarmUp, TakesAllMemoryThatStepsWorkIn) {
  if (!emulated_cuda().available()) GTEST_SKIP();
  const Types all_types[] = {{DType::kBf16, DType::kBf16},
                             {DType::kBf16, DType::kFp8, "block_wise_fp8", true, true},
                             {DType::kBf16, DType::kI8, "wint4", true, true}};
  for (const Types& types : all_types) {
    SmallServer cold(small_setting(types)), warm(small_setting(types));
    warm.executor().warm_up();
    const size_t before = cuda::emulation::global_bytes_in_use();
    std::mt19937 random(3);
    std::vector<sched::Request> requests;
    for (int i = 0; i < 3; ++i) {
      requests.push_back(random_request(random));
      requests.back().stop.max_new_tokens = 3;
    }
    const auto tokens = warm.serve(requests);
    EXPECT_EQ(cuda::emulation::global_bytes_in_use(), before) << name_of(types);
    EXPECT_EQ(cold.serve(requests), tokens) << "warming up leaves nothing behind";
    EXPECT_GT(cuda::emulation::global_bytes_in_use(), before) << "a cold one takes memory";
  }
}

}  // namespace
}  // namespace erne::tests
