// A server that has started never asks its device for memory again.
#include <gtest/gtest.h>

#include "cuda/emulated_backend.h"
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

const Types kAllTypes[] = {{DType::kBf16, DType::kBf16},
                           {DType::kBf16, DType::kFp8, "block_wise_fp8", true, true},
                           {DType::kBf16, DType::kI8, "wint4", true, true}};

TEST(WarmUp, TakesAllMemoryThatStepsWorkIn) {
  if (!emulated_cuda().available()) GTEST_SKIP();
  for (const Types& types : kAllTypes) {
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

// To the byte, though the plan was made without a weight, from shapes alone.
TEST(WarmUp, TakesWhatWasPlanned) {
  if (!emulated_cuda().available()) GTEST_SKIP();
  for (const Types& types : kAllTypes) {
    Setting setting = small_setting(types);
    for (const int max_tokens : {8, 90}) {
      setting.max_tokens = max_tokens;
      const auto outlined = cuda::emulated::make_cuda_rehearsal(0).value();
      const auto outline = outline_model(*outlined, types);
      const auto rehearsal = cuda::emulated::make_cuda_rehearsal(0).value();
      const MemoryInfo unused = rehearsal->memory();
      const size_t for_graphs = unused.total_bytes - unused.available_bytes;
      const size_t planned =
          exec::ModelExecutor::rehearsed_bytes(*rehearsal, *outline, executor_options(setting)) -
          for_graphs;
      const size_t before = cuda::emulation::global_bytes_in_use();
      SmallServer server(setting);
      server.executor().warm_up();
      const auto& kv = server.executor().kv_geometry();
      EXPECT_EQ(outline->weight_bytes(), server.model().weight_bytes());
      EXPECT_EQ(cuda::emulation::global_bytes_in_use() - before,
                planned + server.model().weight_bytes() + kv.device_blocks * kv.block_bytes)
          << name_of(types) << ", " << max_tokens;
    }
  }
}

}  // namespace
}  // namespace erne::tests
