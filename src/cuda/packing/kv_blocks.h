// How keys and values lie in a block of KV memory: so that a lane's share of a matrix instruction
// is one piece, eight numbers long, and a warp reads a piece for each of its lanes in a row.
//
// A head's keys, and its values, are panels of 16 tokens by all components, and a panel is pieces
// of 256 numbers: 16 tokens by 16 components. Lane l of a warp has numbers [8 l, 8 l + 8) of a
// piece; with g = l / 4 and t = l mod 4 these are
//
//   keys    components 4t..4t+3 of token 4 (g / 2) + g mod 2, then of the token two behind it
//   values  tokens 4t..4t+3 of component g, then of component g + 8
//
// The products of queries and keys leave a lane the scores of tokens 4t, 4t+1 and then 4t+2, 4t+3:
// what the same lane has of the values. Of 8-bit numbers each four are stored as 0, 2, 1, 3, so
// that pairs are 16 bits apart. Behind a head's numbers are the scales of its tokens, float32,
// where the numbers have 8 bits.
#pragma once

#include <cstdint>

#include "backend/kv_view.h"

namespace erne::cuda {

constexpr int kKvPanel = 16;  // tokens, and components of a piece
constexpr int kKvPiece = kKvPanel * kKvPanel;

// Where number i of four lies among them.
constexpr int place_in_four(int number_bytes, int i) {
  return number_bytes == 1 ? i % 2 * 2 + i / 2 : i;
}

// Of one layer. Offsets of heads and scales are bytes; of keys and values, numbers in their head.
struct KvPlaces {
  int64_t block_stride, head_bytes;
  int block_tokens, kv_heads, head_dim, number_bytes;

  explicit KvPlaces(const KvLayerView& kv)
      : block_stride(kv.block_stride_bytes),
        head_bytes(kv_head_bytes(kv)),
        block_tokens(kv.block_tokens),
        kv_heads(kv.kv_heads),
        head_dim(kv.head_dim),
        number_bytes(static_cast<int>(dtype_bytes(kv.dtype))) {}

  constexpr int64_t head_at(int64_t block, bool of_values, int head) const {
    return block * block_stride + (of_values * kv_heads + head) * head_bytes;
  }
  constexpr int64_t scales_at() const { return int64_t{block_tokens} * head_dim * number_bytes; }
  constexpr int key_at(int token, int component) const {
    const int g = token % kKvPanel / 4 * 2 + token % 2, second = token % 4 / 2;
    return piece_at(token, component) + lane_at(g, component % kKvPanel / 4, second) +
           place_in_four(number_bytes, component % 4);
  }
  constexpr int value_at(int token, int component) const {
    const int second = component % kKvPanel / 8;
    return piece_at(token, component) + lane_at(component % 8, token % kKvPanel / 4, second) +
           place_in_four(number_bytes, token % 4);
  }

 private:
  constexpr int piece_at(int token, int component) const {
    return token / kKvPanel * kKvPanel * head_dim + component / kKvPanel * kKvPiece;
  }
  static constexpr int lane_at(int g, int t, int second) { return (g * 4 + t) * 8 + second * 4; }
};

}  // namespace erne::cuda
