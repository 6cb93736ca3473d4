// Attention on a device whose blocks have less shared memory than the emulated one's.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "base/hash.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/attention_planner.h"
#include "cuda/kernels/kernels.h"
#include "cuda/runtime/launch.h"
#include "cuda/runtime/runtime.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline emulated {
namespace {

constexpr int kHeads = 8, kDim = 128, kTokens = 13, kContext = 250;
constexpr int kPositions = kContext + kTokens, kBlockTokens = 64, kWidth = (kHeads + 2) * kDim;

class LongRow : public testing::Test {
 protected:
  LongRow() {
    kv_.num_blocks = (kPositions + kBlockTokens - 1) / kBlockTokens;
    kv_.dtype = DType::kBf16;
    kv_.block_tokens = kBlockTokens;
    kv_.kv_heads = 1;
    kv_.head_dim = kDim;
    kv_.block_stride_bytes = kv_layer_block_bytes(kv_);
    kv_.data = device(DType::kI8, {kv_.num_blocks * kv_.block_stride_bytes}).data;
    std::vector<Bf16> rows;
    for (int i = 0; i < kPositions * kWidth; ++i)
      rows.push_back(to_bf16(static_cast<float>(mix64(i) % 1024) / 512 - 1));
    rows_ = device(DType::kBf16, {kPositions, kWidth});
    backend_->upload(std::as_bytes(std::span(rows)), rows_.span());
    std::vector<int32_t> slots(kPositions), blocks(kv_.num_blocks);
    std::iota(slots.begin(), slots.end(), 0);
    std::iota(blocks.begin(), blocks.end(), 0);
    backend_->kv_write({rows_, kv_,
                        stage_slots(*backend_, slots, int64_t{kv_.num_blocks} * kBlockTokens,
                                    device(DType::kI32, {kPositions}))});
    const RaggedRow row{0, kTokens, kContext, 0};
    batch_ = stage_batch(*backend_, {&row, 1}, blocks,
                         {.rows = device(DType::kI32, {1, 4}),
                          .blocks = device(DType::kI32, {kv_.num_blocks}),
                          .num_tokens = kTokens,
                          .num_blocks = kv_.num_blocks,
                          .block_tokens = kBlockTokens});
  }

  DeviceView device(DType dtype, Shape shape) {
    memory_.push_back(backend_->allocate(shape.elements() * dtype_bytes(dtype)));
    return {memory_.back().data(), dtype, shape};
  }
  // Where a block may have so much shared memory.
  std::vector<std::byte> attend(size_t shared_bytes) {
    const DeviceView out = device(DType::kBf16, {kTokens, kHeads * kDim});
    backend_->finish();
    planner_.forget();
    kernels::attention(runtime_->stream(), scratch_, planner_, shared_bytes,
                       {rows_.rows(kContext, kTokens), kv_, &batch_, out, 0.1f});
    runtime_->finish();
    std::vector<std::byte> bytes(out.span().bytes);
    backend_->download(out.span(), bytes);
    return bytes;
  }

  std::unique_ptr<Backend> backend_ = make_cuda_backend(0, [](int64_t, const auto&) {}).value();
  std::vector<DeviceBuffer> memory_;
  std::unique_ptr<Runtime> runtime_ = Runtime::open(0).value();
  Scratch scratch_{*runtime_};
  AttentionPlanner planner_{*runtime_};
  KvLayerView kv_;
  DeviceView rows_;
  StagedBatch batch_;
};

TEST_F(LongRow, IsTheSameWithLessSharedMemory) {
  EXPECT_TRUE(attend(99 << 10) == attend(227 << 10));
}

// Layers of a step share a plan; the next step has another one, also where a graph repeats it.
TEST_F(LongRow, IsPlannedAnewInEveryRun) {
  constexpr int kFew = 2;
  const DeviceView out = device(DType::kBf16, {kFew, kHeads * kDim});
  const std::vector<std::byte> nothing(out.bytes());
  std::vector<int32_t> blocks(kv_.num_blocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  const auto attended = [&](int context, bool in_run) {
    const RaggedRow row{0, kFew, context, 0};
    const StagedBatch batch = stage_batch(*backend_, {&row, 1}, blocks,
                                          {.rows = batch_.rows,
                                           .blocks = batch_.blocks,
                                           .num_tokens = kFew,
                                           .num_blocks = kv_.num_blocks,
                                           .block_tokens = kBlockTokens});
    const auto attend = [&] {
      backend_->attention({rows_.rows(kContext, kFew), kv_, &batch, out, 0.1f});
    };
    backend_->upload(nothing, out.span());
    if (in_run)
      backend_->run({"two layers", kFew, 1}, [&] { attend(), attend(); });
    else
      attend();
    std::vector<std::byte> bytes(out.bytes());
    backend_->download(out.span(), bytes);
    return bytes;
  };
  const auto far = attended(kContext + 8, false), near = attended(40, false);
  EXPECT_NE(near, far);
  for (int i = 0; i < 3; ++i) {  // as it comes, recorded, repeated
    EXPECT_TRUE(attended(40, true) == near) << i;
    EXPECT_TRUE(attended(kContext + 8, true) == far) << i;
  }
}

}  // namespace
}  // namespace erne::cuda::inline emulated
