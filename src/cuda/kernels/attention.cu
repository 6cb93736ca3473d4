// Attention of a ragged batch over paged KV. Decode, chunks of a prompt and drafts to verify are
// the same here, rows of different lengths.
#include "cuda/kernels/attention_kernels.h"
#include "cuda/kernels/attention_planner.h"
#include "cuda/kernels/kernels.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE::kernels {

void attention(Stream& stream, Scratch& scratch, AttentionPlanner& planner, MatrixUnits units,
               size_t shared_bytes, const AttentionArgs& args) {
  if (!fits_tiles(args)) return plain_attention(stream, args);
  constexpr float kLog2E = 1.44269504f;
  const AttentionTensors tensors{global<Bf16>(args.qkv), global<Bf16>(args.out), args.qkv.shape[1],
                                 args.out.shape[1], args.scale * kLog2E};
  const StagedBatch& batch = *args.batch;
  const auto group =
      static_cast<int>(args.out.shape[1] / (int64_t{args.kv.kv_heads} * args.kv.head_dim));
  const AttentionPlan& plan =
      planner.plan(stream, batch, group, long_tile_queries(args.kv, shared_bytes));
  short_attention(stream, scratch, plan, args, tensors);
  if (plan.max_long_tiles == 0) return;
  if (units == MatrixUnits::kWarpgroups && plan.long_tile_queries == kWarpgroupQueries &&
      warpgroup_attention_bytes(args.kv) <= shared_bytes)
    warpgroup_attention(stream, plan, args, tensors);
  else
    long_attention(stream, plan, args, tensors);
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE::kernels
