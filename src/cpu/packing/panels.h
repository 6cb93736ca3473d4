// The order in which the kernels read a matrix B [k, n] that is multiplied from the left by rows of
// activations: panels of 16 columns, each panel contiguous, k ascending inside. float32:
// [k][16]. bfloat16: [k / 2][16][2], so that one 32-bit word holds column n of rows k and k + 1 and
// turns into two floats by a shift and a mask; an odd k is padded with a row of zeros. The same
// words are what AVX-512 and AMX multiply in pairs.
//
// int8, fp8: [k][16].
//
// Weights: B[k, n] = W[n, k]; columns beyond `out` are zeros. K of one block and kv head: B[d,
// token]; V of one block and kv head: B[token, d]; the scales of 8-bit numbers follow each.
//
// Everything here is static: the linker must not share code that a kernel file has compiled for its
// own instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/kv_view.h"
#include "tensor/tensor_view.h"

namespace erne::cpu {

constexpr int kPanel = 16;

static constexpr int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

static constexpr int64_t num_panels(int64_t n) {
  return (n + kPanel - 1) / kPanel;
}

// Elements from one panel to the next.
static constexpr int64_t panel_stride(DType dtype, int64_t k) {
  return (dtype == DType::kBf16 ? k + (k & 1) : k) * kPanel;
}

// Where B[k, n] lies in a panel, n in [0, 16).
template <class T>
static constexpr int64_t panel_offset(int64_t k, int64_t n) {
  return sizeof(T) == 2 ? (k / 2 * kPanel + n) * 2 + (k & 1) : k * kPanel + n;
}

// K or V of one kv head in one block.
template <class T>
static T* kv_head_data(const KvLayerView& kv, int32_t block, bool value, int kv_head) {
  auto* base = DeviceAccess::pointer(kv.data) + block * kv.block_stride_bytes;
  const int64_t head = (value ? kv.kv_heads : 0) + kv_head;
  return reinterpret_cast<T*>(base + head * kv_head_bytes(kv));
}
// 8-bit numbers only: the scales of the block's tokens.
static inline float* kv_scales(const KvLayerView& kv, int32_t block, bool value, int kv_head) {
  auto* data = kv_head_data<std::byte>(kv, block, value, kv_head);
  return reinterpret_cast<float*>(data + int64_t{kv.block_tokens} * kv.head_dim);
}
// The panel of K that holds a token of the block: element (d, token mod 16).
template <class T>
static T* key_panel(const KvLayerView& kv, int32_t block, int kv_head, int token) {
  return kv_head_data<T>(kv, block, false, kv_head) +
         token / kPanel * panel_stride(kv.dtype, kv.head_dim);
}
// The panel of V that holds component d: element (token, d mod 16).
template <class T>
static T* value_panel(const KvLayerView& kv, int32_t block, int kv_head, int d) {
  return kv_head_data<T>(kv, block, true, kv_head) +
         d / kPanel * panel_stride(kv.dtype, kv.block_tokens);
}

}  // namespace erne::cpu
