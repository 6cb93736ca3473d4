// The parts of an attention (attention.cu).
#pragma once

#include "backend/backend.h"
#include "cuda/kernels/attention_plan.h"
#include "cuda/kernels/attention_tile.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

// Whether matrix units compute it.
inline bool fits_tiles(const AttentionArgs& args) {
  const KvLayerView& kv = args.kv;
  return args.qkv.dtype == DType::kBf16 && kv.dtype != DType::kF32 &&
         (kv.head_dim == 64 || kv.head_dim == 128);
}

// body.operator()<Kv, dim>(), of KV that fits.
template <class Body>
void with_tile_kv(const KvLayerView& kv, const Body& body) {
  const auto with_dim = [&]<class Kv>() {
    if (kv.head_dim == 128) {
      body.template operator()<Kv, 128>();
    } else {
      CHECK_EQ(kv.head_dim, 64);
      body.template operator()<Kv, 64>();
    }
  };
  if (kv.dtype == DType::kBf16) {
    with_dim.template operator()<Bf16>();
  } else if (kv.dtype == DType::kI8) {
    with_dim.template operator()<int8_t>();
  } else {
    CHECK(kv.dtype == DType::kFp8);
    with_dim.template operator()<Fp8>();
  }
}

// Two components of query i of a tile: sums over values by the scales of their components, where
// they have such, and over the sum of weights.
template <class Kv, int dim>
ON_DEVICE void store_out(const AttentionTensors& tensors, const QueryTile& tile, int i,
                         int component, float first, float second, float sum, const KvMemory& kv) {
  if (kv.value_largest) {
    const Global<float> largest = kv.value_largest + (tile.kv_head * dim + component);
    first *= divide(largest[0], kLargestKv<Kv>);
    second *= divide(largest[1], kLargestKv<Kv>);
  }
  const uint32_t pair = rounded_pair(divide(first, sum), divide(second, sum));
  const int64_t at = tile.token(i) * tensors.q_width + tile.head(i) * dim + component;
  (tensors.out + at).template as<uint32_t>().set(0, pair);
}

// plain_attention.cu: in float32, for every type and size.
void plain_attention(Stream& stream, const AttentionArgs& args);
// short_attention.cu: the plan's items and merges.
void short_attention(Stream& stream, Scratch& scratch, const AttentionPlan& plan,
                     const AttentionArgs& args, const AttentionTensors& tensors);
// long_attention.cu: the plan's long tiles, of long_tile_queries() of this device.
int long_tile_queries(const KvLayerView& kv, size_t shared_bytes);
void long_attention(Stream& stream, const AttentionPlan& plan, const AttentionArgs& args,
                    const AttentionTensors& tensors);
// warpgroup_attention.cu: likewise, by tiles of so many, where a block may have so many bytes of
// shared memory.
constexpr int kWarpgroupQueries = 128;
size_t warpgroup_attention_bytes(const KvLayerView& kv);
void warpgroup_attention(Stream& stream, const AttentionPlan& plan, const AttentionArgs& args,
                         const AttentionTensors& tensors);

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
