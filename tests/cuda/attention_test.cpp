// The kernels of attention of long rows give the same bits: which one computes it is a matter of
// the device and of speed.
#define ERNE_CUDA_EMULATED
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
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

// 104 queries, of which the first 64 do not see the last segment, which has three keys.
constexpr int kHeads = 8, kTokens = 13, kContext = 310;
constexpr int kPositions = kContext + kTokens, kBlockTokens = 64;

struct KvCase {
  DType dtype;
  int dim;
};

class LongRow : public testing::TestWithParam<KvCase> {
 protected:
  LongRow() {
    kv_.num_blocks = (kPositions + kBlockTokens - 1) / kBlockTokens;
    kv_.dtype = GetParam().dtype;
    kv_.block_tokens = kBlockTokens;
    kv_.kv_heads = 1;
    kv_.head_dim = GetParam().dim;
    const int width = (kHeads + 2) * GetParam().dim;
    kv_.block_stride_bytes = kv_layer_block_bytes(kv_);
    kv_.data = device(DType::kI8, {kv_.num_blocks * kv_.block_stride_bytes}).data;
    std::vector<Bf16> rows;
    for (int i = 0; i < kPositions * width; ++i)
      rows.push_back(to_bf16(static_cast<float>(mix64(i) % 1024) / 512 - 1));
    rows_ = device(DType::kBf16, {kPositions, width});
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
  std::vector<std::byte> attend(MatrixUnits units, size_t shared_bytes) {
    const DeviceView out = device(DType::kBf16, {kTokens, kHeads * GetParam().dim});
    backend_->finish();
    planner_.forget();
    kernels::attention(runtime_->stream(), scratch_, planner_, units, shared_bytes,
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

TEST_P(LongRow, HasTheSameBitsByEveryKernel) {
  const auto expected = attend(MatrixUnits::kWarps, 227 << 10);
  EXPECT_TRUE(attend(MatrixUnits::kWarps, 99 << 10) == expected) << "with less shared memory";
  EXPECT_TRUE(attend(MatrixUnits::kWarpgroups, 227 << 10) == expected) << "by warpgroups";
  // So it was warpgroups: on a card whose sums of theirs are others, bits are.
  runtime_->stream().model.warpgroups_cut_off = true;
  EXPECT_FALSE(attend(MatrixUnits::kWarpgroups, 227 << 10) == expected);
  EXPECT_TRUE(attend(MatrixUnits::kWarps, 227 << 10) == expected);
}

// Layers of a step share a plan; the next step has another one, also where a graph repeats it.
TEST_P(LongRow, IsPlannedAnewInEveryRun) {
  constexpr int kFew = 2;
  const DeviceView out = device(DType::kBf16, {kFew, kHeads * GetParam().dim});
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

INSTANTIATE_TEST_SUITE_P(, LongRow,
                         testing::Values(KvCase{DType::kBf16, 128}, KvCase{DType::kBf16, 64},
                                         KvCase{DType::kI8, 128}, KvCase{DType::kFp8, 64}),
                         [](const auto& info) {
                           return std::string(dtype_name(info.param.dtype)) + "_" +
                                  std::to_string(info.param.dim);
                         });

}  // namespace
}  // namespace erne::cuda::inline emulated
