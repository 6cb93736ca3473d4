#include "apps/capacity.h"

#include <gtest/gtest.h>

namespace erne::apps {
namespace {

model::ErnieConfig small_config() {
  model::ErnieConfig config;
  config.num_layers = 2;
  config.num_kv_heads = 2;
  config.head_dim = 128;
  config.max_position_embeddings = 4096;
  return config;
}

constexpr size_t kBlockBytes =
    2 * 2 * 2 * 128 * 64 * 2;  // layers, K and V, heads, dim, tokens, bf16

constexpr BackendLimits kBackend = {.block_tokens_multiple = 16, .head_dim_multiple = 16};

size_t no_workspace(const sched::Limits&, int64_t) {
  return 0;
}

Result<Capacity> choose(const ServeOptions& options, const FreeMemory& free = {1 << 30}) {
  return choose_capacity(options, small_config(), kBackend, DType::kBf16, free, no_workspace);
}

TEST(Capacity, DefaultsAreFastDeploysWhereACpuCanKeepThem) {
  const auto capacity = choose({});
  ASSERT_TRUE(capacity.ok());
  EXPECT_EQ(capacity->limits.max_model_len, 2048);
  EXPECT_EQ(capacity->limits.max_rows, 8);
  EXPECT_EQ(capacity->limits.max_tokens, 512);
  EXPECT_EQ(capacity->block_bytes, kBlockBytes);
  EXPECT_EQ(capacity->num_blocks, 2 * 8 * 32);
}

TEST(Capacity, AnInt8CacheTakesAByteAndItsShareOfAScale) {
  const auto capacity =
      choose_capacity({}, small_config(), kBackend, DType::kI8, {1 << 30}, no_workspace);
  ASSERT_TRUE(capacity.ok());
  EXPECT_EQ(capacity->block_bytes, size_t{2 * 2 * 2 * 64 * (128 + 4)});
}

TEST(Capacity, MemoryBoundsTheBlocks) {
  ServeOptions options;
  options.gpu_memory_utilization = 0.5;
  EXPECT_EQ(choose(options, {100 * kBlockBytes})->num_blocks, 50);
  const auto refused = choose(options, {50 * kBlockBytes});  // 32 blocks are the least
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--max-model-len");
}

// As vLLM and FastDeploy mean it: of all that the card has, and what is in use already counts.
TEST(Capacity, OfAGpuTheShareIsOfAllItsMemory) {
  FreeMemory free{150 * kBlockBytes, size_t{1} << 30, 200 * kBlockBytes};
  EXPECT_EQ(choose({}, free)->num_blocks, 180 - 50);
  free.device_bytes = 20 * kBlockBytes;  // others have what the share leaves
  EXPECT_EQ(choose({}, free).status().param, "--max-model-len");
}

TEST(Capacity, OverridesAreTakenFromTheBareMinimumUp) {
  ServeOptions options;
  options.max_model_len = 100;
  options.num_gpu_blocks_override = 2;
  EXPECT_EQ(choose(options)->num_blocks, 2);
  options.num_gpu_blocks_override = 1;
  EXPECT_FALSE(choose(options).ok());
}

TEST(Capacity, RefusesWhatTheModelOrAStepCannotHold) {
  ServeOptions options;
  options.max_model_len = 5000;
  EXPECT_EQ(choose(options).status().param, "--max-model-len");
  options = {};
  options.block_size = 20;
  EXPECT_EQ(choose(options).status().param, "--block-size");
  options = {};
  options.max_num_batched_tokens = 7;
  EXPECT_EQ(choose(options).status().param, "--max-num-batched-tokens");
  options.max_num_batched_tokens = 1000;
  EXPECT_TRUE(choose(options).ok());
  options.enable_chunked_prefill = false;
  EXPECT_FALSE(choose(options).ok());
  options.max_num_batched_tokens = 0;
  EXPECT_EQ(choose(options)->limits.max_tokens, 2048);
}

// As many blocks as are asked for, of all layers, of K and of V; where all memory is one, the KV
// cache takes what they leave.
TEST(Capacity, TheCpuTierTakesWhatItIsGiven) {
  constexpr double kBlock = double(kBlockBytes) / (1 << 30);
  ServeOptions options;
  EXPECT_EQ(choose(options)->host_blocks, 0);
  options.swap_space = 40.5 * kBlock;
  EXPECT_EQ(choose(options)->host_blocks, 40);
  EXPECT_EQ(choose(options)->num_blocks, 2 * 8 * 32);
  options.gpu_memory_utilization = 0.5;
  EXPECT_EQ(choose(options, {140 * kBlockBytes})->num_blocks, 50);
  EXPECT_EQ(choose(options, {140 * kBlockBytes, 40 * kBlockBytes})->num_blocks, 70);
}

TEST(Capacity, ACpuTierThatIsTooLargeOrLessThanABlockIsRefused) {
  constexpr double kBlock = double(kBlockBytes) / (1 << 30);
  ServeOptions options;
  options.gpu_memory_utilization = 0.5;
  const auto refuses = [&](double blocks, const FreeMemory& free) {
    options.swap_space = blocks * kBlock;
    const auto capacity = choose(options, free);
    return !capacity.ok() && capacity.status().param == "--swap-space";
  };
  // One sequence has 32 blocks, and 64 of them have to be free for it.
  EXPECT_FALSE(refuses(36, {100 * kBlockBytes}));
  EXPECT_TRUE(refuses(37, {100 * kBlockBytes}));
  EXPECT_TRUE(refuses(0.9, {100 * kBlockBytes}));
  EXPECT_FALSE(refuses(36, {100 * kBlockBytes, 36 * kBlockBytes}));
  EXPECT_TRUE(refuses(37, {100 * kBlockBytes, 36 * kBlockBytes}));
  EXPECT_TRUE(refuses(3e9, {100 * kBlockBytes, size_t{1} << 60}));  // more than there are ids for
  options.swap_space = 1;
  EXPECT_EQ(choose(options, {10 * kBlockBytes}).status().param, "--max-model-len");
}

// What a start names as fitting does fit, and one more does not.
TEST(Capacity, WhatStepsWorkInIsCountedAndARefusalNamesWhatFits) {
  const auto workspace = [](const sched::Limits& limits, int64_t) {
    return size_t{1000} * limits.max_tokens + size_t{40'000} * limits.max_rows;
  };
  const auto with = [&](const ServeOptions& options, size_t free_bytes = 200'000'000) {
    return choose_capacity(options, small_config(), kBackend, DType::kBf16, {free_bytes},
                           workspace);
  };
  const auto number_after = [](const std::string& text, const std::string& before) {
    const size_t at = text.find(before);
    return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + before.size());
  };
  const auto gib_after = [](const std::string& text, const std::string& before) {
    const size_t at = text.rfind(before);
    return at == std::string::npos ? 0 : std::atof(text.c_str() + at + before.size());
  };
  ServeOptions options;
  options.max_num_batched_tokens = 1 << 20;
  auto refused = with(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--max-num-batched-tokens");
  options.max_num_batched_tokens = number_after(refused.status().message, "up to ");
  ASSERT_GT(options.max_num_batched_tokens, 512) << refused.status().message;
  EXPECT_TRUE(with(options).ok());
  ++options.max_num_batched_tokens;
  EXPECT_FALSE(with(options).ok());

  options = {};
  options.max_num_seqs = 4096;
  refused = with(options, 150'000'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--max-num-seqs");
  options.max_num_seqs = number_after(refused.status().message, "up to ");
  ASSERT_GT(options.max_num_seqs, 8) << refused.status().message;
  options.max_num_batched_tokens =
      number_after(refused.status().message, "--max-num-batched-tokens ");
  EXPECT_TRUE(with(options, 150'000'000).ok());

  options = {};
  options.num_gpu_blocks_override = 1 << 30;
  refused = with(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--num-gpu-blocks-override");
  options.num_gpu_blocks_override = number_after(refused.status().message, "up to ");
  EXPECT_EQ(with(options)->num_blocks, options.num_gpu_blocks_override);

  options = {};
  options.swap_space = 1000;
  refused = with(options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--swap-space");
  options.swap_space = gib_after(refused.status().message, "to ");
  EXPECT_GT(options.swap_space, 0.1) << refused.status().message;
  EXPECT_TRUE(with(options).ok());
  options.swap_space += 0.0015;
  EXPECT_FALSE(with(options).ok());

  options = {};
  refused = with(options, 3'000'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "--max-model-len");
  options.max_model_len = number_after(refused.status().message, "up to ");
  EXPECT_GT(options.max_model_len, 128) << refused.status().message;
  EXPECT_TRUE(with(options, 3'000'000).ok());
  ++options.max_model_len;
  EXPECT_FALSE(with(options, 3'000'000).ok());

  EXPECT_EQ(with({}, 1'000'000).status().param, "--max-model-len");
  EXPECT_FALSE(with({}, 0).ok());
}

}  // namespace
}  // namespace erne::apps
