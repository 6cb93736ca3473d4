#include "apps/memory_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_folder_fixture.h"
#include "cpu/cpu_backend.h"

namespace erne::apps {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class MemoryCheck : public testing::Test {
 protected:
  MemoryCheck() {
    options_.model = ERNE_SOURCE_DIR "/models/erne-tiny";
    opened_ =
        std::make_unique<model::OpenedModel>(model::OpenedModel::open(options_.model, {}).value());
  }
  // The least memory at which this flag is not what is wrong, found by asking.
  size_t least(const std::string& flag) {
    size_t low = 0, high = size_t{1} << 40;
    while (low + 1 < high) {
      const size_t middle = low + (high - low) / 2;
      const auto checked = check(middle);
      (checked.ok() || checked.status().param != flag ? high : low) = middle;
    }
    return high;
  }
  Result<void> check(size_t free_bytes) {
    return check_memory(options_, *opened_, *backend_, {free_bytes},
                        working_bytes(options_, *opened_, nullptr).value());
  }

  ServeOptions options_;
  std::unique_ptr<Backend> backend_ = cpu::make_cpu_backend(cpu::CpuIsa::kReference, 1);
  std::unique_ptr<model::OpenedModel> opened_;
};

TEST_F(MemoryCheck, a_model_that_does_not_fit_is_refused_with_what_would) {
  const size_t needed = least("--model");
  EXPECT_GT(needed, opened_->weight_bytes(*backend_, nullptr).value());
  const auto refused = check(needed - 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--model");
  EXPECT_THAT(refused.status().message,
              AllOf(HasSubstr("needs 0."), HasSubstr("of bfloat16 weights"), HasSubstr("are free"),
                    HasSubstr("KV cache of one sequence of 2048 tokens"), HasSubstr("workspace"),
                    HasSubstr("it would fit: "), HasSubstr("wint4_g128 0.")));
  EXPECT_THAT(check(1000).status().message,
              AllOf(HasSubstr("no --quantization fits"), Not(HasSubstr("it would fit"))));
}

TEST_F(MemoryCheck, what_the_options_ask_for_is_not_the_models_fault) {
  const size_t needed = least("--model");
  options_.max_num_batched_tokens = 1 << 20;
  EXPECT_EQ(least("--model"), needed);
  EXPECT_EQ(check(2 * needed).status().param, "--max-num-batched-tokens");
  options_.max_num_batched_tokens = 0;
  options_.swap_space = 1 << 20;
  EXPECT_EQ(least("--model"), needed);
  EXPECT_EQ(check(2 * needed).status().param, "--swap-space");
  options_.swap_space = 1;
  EXPECT_TRUE(check(2 * needed + (1 << 30)).ok());
  options_.swap_space = 0;
  options_.max_model_len = 256;
  EXPECT_LT(least("--model"), needed);
}

TEST_F(MemoryCheck, flags_that_cannot_be_are_refused_before_loading) {
  options_.max_model_len = int64_t{1} << 40;
  EXPECT_EQ(check(size_t{1} << 40).status().param, "--max-model-len");
}

}  // namespace
}  // namespace erne::apps
