// Sixteen queries against a segment of keys, on the matrix units: what one warp does, wherever the
// keys come from (arithmetic.h, "Attention"). With g = lane / 4 and t = lane mod 4, a lane has rows
// g and g + 8 of everything; cuda/packing/kv_blocks.h says which keys and components.
#pragma once

#include "cuda/kernels/attention_rows.h"
#include "cuda/language/matrix.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

struct alignas(8) Words2 {
  uint32_t at[2];
};
struct alignas(8) Floats2 {
  float at[2];
};
struct alignas(16) Floats4 {
  float at[4];
};

// Two 8-bit numbers, in the low bytes of both halves, as bfloat16: exactly. An fp8 NaN becomes a
// number; its token's scale is NaN (kv_write.cu).
template <class Kv>
ON_DEVICE uint32_t widened(uint32_t bytes) {
  if constexpr (std::is_same_v<Kv, int8_t>) {
    // 128 + the low seven bits, less 128 and the sign's 128.
    return fma_pair(0x43004300u | (bytes & 0x007F007Fu), 0x3F803F80u,
                    0xC300C300u | (bytes & 0x00800080u));
  } else {
    return widened_fp8_pair(bytes);
  }
}

// A panel of keys or of values in shared memory: its numbers, and behind them, of 8-bit ones, the
// scales of its tokens.
template <class Kv, int dim>
struct TilePanel {
  static constexpr int kPieces = dim / kKvPanel;
  static constexpr int kNumberBytes = kKvPanel * dim * static_cast<int>(sizeof(Kv));
  static constexpr bool kHasScales = sizeof(Kv) == 1;
  static constexpr int kScaleBytes = kHasScales ? kKvPanel * static_cast<int>(sizeof(float)) : 0;
  static constexpr int kBytes = kNumberBytes + kScaleBytes;
  static constexpr int kCopies = kBytes / static_cast<int>(sizeof(Words4));

  Shared<std::byte> data;

  // Copy `i` of kCopies from a head's panel in a block; zeros where there is none.
  ON_DEVICE void copy(int i, const KvMemory& kv, Global<std::byte> head, int panel,
                      bool is_there) const {
    constexpr int kOfNumbers = kNumberBytes / static_cast<int>(sizeof(Words4));
    const int64_t at = i < kOfNumbers
                           ? int64_t{panel} * kNumberBytes + i * 16
                           : kv.places.scales_at() + panel * kScaleBytes + (i - kOfNumbers) * 16;
    copy_async(data + i * 16, head + at, is_there ? 16 : 0);
  }

  // What the matrix units multiply by, of piece `i`: for the first eight columns and the second.
  ON_DEVICE void operands(int i, uint32_t (&first)[2], uint32_t (&second)[2]) const {
    if constexpr (sizeof(Kv) == 2) {
      const Words4 words = data.as<Words4>()[i * kWarp + lane()];
      first[0] = words.at[0];
      first[1] = words.at[1];
      second[0] = words.at[2];
      second[1] = words.at[3];
    } else {
      const Words2 words = data.as<Words2>()[i * kWarp + lane()];
      first[0] = widened<Kv>(words.at[0]);
      first[1] = widened<Kv>(words.at[0] >> 8);
      second[0] = widened<Kv>(words.at[1]);
      second[1] = widened<Kv>(words.at[1] >> 8);
    }
  }
  // Of tokens 4t..4t+3.
  ON_DEVICE Floats4 scales() const {
    return (data + kNumberBytes).template as<Floats4>()[lane() % 4];
  }

  // Of a pair of tokens, the bits of those below `count`.
  ON_DEVICE static uint32_t kept(int token, int count) {
    return (token < count ? 0x0000FFFFu : 0) | (token + 1 < count ? 0xFFFF0000u : 0);
  }

  // Values that were never written may be NaN, which a probability of zero does not hide: those
  // from token `count` on become zeros. By one warp; each lane has read and written its own.
  ON_DEVICE void clear_from(int count) const {
    const int first = lane() % 4 * 4;
    if constexpr (kHasScales) {
      const Shared<float> scales = (data + kNumberBytes).template as<float>();
      if (lane() < kKvPanel && lane() >= count) scales.set(lane(), 0.0f);
    } else {
      const uint32_t low = kept(first, count), high = kept(first + 2, count);
      for (int i = 0; i < kPieces; ++i) {
        Words4 words = data.as<Words4>()[i * kWarp + lane()];
        words.at[0] &= low;
        words.at[1] &= high;
        words.at[2] &= low;
        words.at[3] &= high;
        data.as<Words4>().set(i * kWarp + lane(), words);
      }
    }
  }
};

// Some queries of a row that share a head of keys: [first, first + count) of those that
// attention_plan.h counts.
struct QueryTile {
  RaggedRow row;
  int kv_head, group, first, count;

  ON_DEVICE QueryTile(const RaggedRow& row, int kv_head, int group, int first, int most)
      : row(row),
        kv_head(kv_head),
        group(group),
        first(first),
        count(row.num_tokens * group - first) {
    if (count > most) count = most;
  }
  ON_DEVICE int token(int i) const { return row.first_token + (first + i) / group; }
  ON_DEVICE int head(int i) const { return kv_head * group + (first + i) % group; }
  // That query i may see.
  ON_DEVICE int last_key(int i) const { return row.first_position + (first + i) / group; }
  ON_DEVICE int last_key() const { return last_key(count - 1); }
};

// Tensors of an attention of bfloat16 queries.
struct AttentionTensors {
  Global<Bf16> qkv, out;
  int64_t qkv_width, q_width;
  float scale;  // of scores, times log2(e)
};

// Rows g and g + 8 of a tile of sixteen queries, and the last key that each may see. Behind the
// last query it is repeated.
template <class Kv, int dim>
struct TileQueries {
  uint32_t operands[dim / kKvPanel][4];
  int last_key[2];

  ON_DEVICE TileQueries(const QueryTile& tile, int first, const AttentionTensors& tensors,
                        const KvMemory& kv) {
    UNROLLED for (int half = 0; half < 2; ++half) {
      int i = first + lane() / 4 + half * 8;
      if (i >= tile.count) i = tile.count - 1;
      last_key[half] = tile.last_key(i);
      const Global<Words2> query =
          (tensors.qkv + (tile.token(i) * tensors.qkv_width + tile.head(i) * dim)).as<Words2>();
      UNROLLED for (int piece = 0; piece < dim / kKvPanel; ++piece) {
        Words2 words = query[piece * 4 + lane() % 4];
        if (kv.key_largest) scale(words, kv.key_largest + (tile.kv_head * dim + piece * kKvPanel));
        operands[piece][half] = words.at[0];
        operands[piece][half + 2] = words.at[1];
      }
    }
  }

 private:
  // Components 4t..4t+3 by the scales of their keys.
  ON_DEVICE static void scale(Words2& words, Global<float> largest) {
    const Floats4 sizes = largest.as<Floats4>()[lane() % 4];
    UNROLLED for (int i = 0; i < 2; ++i) {
      const uint32_t pair = words.at[i];
      words.at[i] = rounded_pair(
          bits_as<float>(pair << 16) * divide(sizes.at[2 * i], kLargestKv<Kv>),
          bits_as<float>(pair & 0xFFFF0000u) * divide(sizes.at[2 * i + 1], kLargestKv<Kv>));
    }
  }
};

// A segment's scores of sixteen queries, then its probabilities.
template <class Kv, int dim>
struct TileScores {
  static constexpr int kPanels = kKvSegment / kKvPanel;

  float scores[2 * kPanels][4];  // of each panel, keys 4t, 4t+1 of both rows, then 4t+2, 4t+3
  float max[2], sum[2];          // of both rows; scores in units of log2

  // by: the scale of scores, times log2(e). The segment begins at `first_key`. A row that sees none
  // of it gets NaN, and must not be merged.
  ON_DEVICE void weigh(float by, int first_key, const TileQueries<Kv, dim>& queries) {
    if (first_key + kKvSegment - 1 > queries.last_key[0]) hide_keys(first_key, queries);
    for_rows([&](int row) {
      float largest = -kInfinity;
      for_scores(row, [&](float& score) { largest = larger(largest, score); });
      largest = larger(largest, shuffle_xor(largest, 2));
      max[row] = larger(largest, shuffle_xor(largest, 1)) * by;
    });
    for_rows([&](int row) {
      float total = 0;
      for_scores(row, [&](float& score) { score = exp2_fast(fma(score, by, -max[row])); });
      if constexpr (sizeof(Kv) == 2) round_weights(row);
      for_scores(row, [&](float& weight) { total += weight; });
      total += shuffle_xor(total, 2);
      sum[row] = total + shuffle_xor(total, 1);
    });
  }

  // What values of panel p are multiplied by: with the scales of its tokens, where they have such.
  ON_DEVICE void weights(int p, const Floats4& scales, uint32_t (&a)[4]) const {
    const auto& of_first = scores[2 * p];
    const auto& of_second = scores[2 * p + 1];
    a[0] = rounded_pair(of_first[0] * scales.at[0], of_first[1] * scales.at[1]);
    a[1] = rounded_pair(of_first[2] * scales.at[0], of_first[3] * scales.at[1]);
    a[2] = rounded_pair(of_second[0] * scales.at[2], of_second[1] * scales.at[3]);
    a[3] = rounded_pair(of_second[2] * scales.at[2], of_second[3] * scales.at[3]);
  }

 private:
  // body(0), body(1): both rows of a lane, of which the second sees no fewer keys.
  template <class Body>
  ON_DEVICE static void for_rows(const Body& body) {
    UNROLLED for (int row = 0; row < 2; ++row) body(row);
  }
  // body(each score of a row), ascending.
  template <class Body>
  ON_DEVICE void for_scores(int row, const Body& body) {
    UNROLLED for (auto& keys : scores) UNROLLED for (int i = 0; i < 2; ++i) body(keys[2 * row + i]);
  }
  ON_DEVICE void hide_keys(int first_key, const TileQueries<Kv, dim>& queries) {
    const int first = first_key + lane() % 4 * 4;
    UNROLLED for (int j = 0; j < 2 * kPanels; ++j) UNROLLED for (int i = 0; i < 4; ++i) {
      const int key = first + j / 2 * kKvPanel + j % 2 * 2 + i % 2;
      if (key > queries.last_key[i / 2]) scores[j][i] = -kInfinity;
    }
  }
  ON_DEVICE void round_weights(int row) {
    UNROLLED for (auto& keys : scores) {
      const uint32_t pair = rounded_pair(keys[2 * row], keys[2 * row + 1]);
      keys[2 * row] = bits_as<float>(pair << 16);
      keys[2 * row + 1] = bits_as<float>(pair & 0xFFFF0000u);
    }
  }
};

// Scores by the instructions of a warp, and what is summed over the segment's values.
template <class Kv, int dim>
struct TileSegment : TileScores<Kv, dim> {
  using Panel = TilePanel<Kv, dim>;

  float values[dim / 8][4];  // components 8i + 2t, 8i + 2t + 1 of both rows

  // `p` of the segment's panels.
  ON_DEVICE void add_keys(const Panel& panel, int p, const TileQueries<Kv, dim>& queries) {
    float first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
    UNROLLED for (int i = 0; i < Panel::kPieces; ++i) {
      uint32_t a[2], b[2];
      panel.operands(i, a, b);
      mma(first, queries.operands[i], a);
      mma(second, queries.operands[i], b);
    }
    if constexpr (Panel::kHasScales) {
      const Floats4 scales = panel.scales();
      UNROLLED for (int i = 0; i < 4; ++i) {
        first[i] *= scales.at[i % 2];
        second[i] *= scales.at[2 + i % 2];
      }
    }
    UNROLLED for (int i = 0; i < 4; ++i) {
      this->scores[2 * p][i] = first[i];
      this->scores[2 * p + 1][i] = second[i];
    }
  }

  ON_DEVICE void weigh(float by, int first_key, const TileQueries<Kv, dim>& queries) {
    TileScores<Kv, dim>::weigh(by, first_key, queries);
    UNROLLED for (auto& column : values) UNROLLED for (float& value : column) value = 0;
  }

  ON_DEVICE void add_values(const Panel& panel, int p) {
    Floats4 scales = {{1, 1, 1, 1}};
    if constexpr (Panel::kHasScales) scales = panel.scales();
    uint32_t weights[4];
    this->weights(p, scales, weights);
    UNROLLED for (int i = 0; i < Panel::kPieces; ++i) {
      uint32_t a[2], b[2];
      panel.operands(i, a, b);
      mma(values[2 * i], weights, a);
      mma(values[2 * i + 1], weights, b);
    }
  }
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
