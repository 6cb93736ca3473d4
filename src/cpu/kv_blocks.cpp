#include "cpu/kv_blocks.h"

#include <cstring>

#include "cpu/panels.h"

namespace erne::cpu {
namespace {

template <class To, class From>
To stored(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return to_bf16(v);
  } else {
    return to_float(v);
  }
}

template <class Kv, class T>
void write_token(const KvLayerView& kv, int32_t slot, const T* k, const T* v) {
  const int32_t block = slot / kv.block_tokens;
  const int token = slot % kv.block_tokens;
  for (int head = 0; head < kv.kv_heads; ++head, k += kv.head_dim, v += kv.head_dim) {
    Kv* keys = key_panel<Kv>(kv, block, head, token);
    for (int d = 0; d < kv.head_dim; ++d)
      keys[panel_offset<Kv>(d, token % kPanel)] = stored<Kv>(k[d]);
    for (int d = 0; d < kv.head_dim; ++d)
      value_panel<Kv>(kv, block, head, d)[panel_offset<Kv>(token, d % kPanel)] = stored<Kv>(v[d]);
  }
}

template <class Kv, class T>
void write_typed(const KvWriteArgs& args, ThreadPool& pool) {
  const int64_t width = args.qkv.shape[1];
  const int64_t kv_width = int64_t{args.kv.kv_heads} * args.kv.head_dim;
  pool.parallel_for(std::ssize(args.slots), [&](int64_t t, int) {
    if (args.slots[t] < 0) return;
    const T* k = args.qkv.as<const T>() + (t + 1) * width - 2 * kv_width;
    write_token<Kv>(args.kv, args.slots[t], k, k + kv_width);
  });
}

}  // namespace

void write_kv(const KvWriteArgs& args, ThreadPool& pool) {
  CHECK(args.kv.dtype == DType::kBf16 || args.kv.dtype == DType::kF32);
  const bool bf16_rows = args.qkv.dtype == DType::kBf16;
  if (args.kv.dtype == DType::kBf16)
    bf16_rows ? write_typed<Bf16, Bf16>(args, pool) : write_typed<Bf16, float>(args, pool);
  else
    bf16_rows ? write_typed<float, Bf16>(args, pool) : write_typed<float, float>(args, pool);
}

void copy_kv_blocks(std::span<const KvLayerView> layers,
                    std::span<const std::pair<int32_t, int32_t>> copies, ThreadPool& pool) {
  pool.parallel_for(std::ssize(layers), [&](int64_t layer, int) {
    const KvLayerView& kv = layers[layer];
    auto* base = static_cast<std::byte*>(kv.data);
    for (const auto& [from, to] : copies)  // in order: a block may be a source after a target
      std::memmove(base + to * kv.block_stride_bytes, base + from * kv.block_stride_bytes,
                   kv_layer_block_bytes(kv));
  });
}

}  // namespace erne::cpu
