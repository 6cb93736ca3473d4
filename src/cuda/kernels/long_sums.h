// What a warp sums of its sixteen queries over all keys, segment by segment (arithmetic.h,
// "Attention"): the values of a section in registers, those of all sections in shared memory.
#pragma once

#include "cuda/kernels/attention_kernels.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

template <class Kv, int dim>
class LongSums {
 public:
  static constexpr int kColumns = dim / 8;
  static constexpr int kBytes = kTileQueries * dim * static_cast<int>(sizeof(float));  // of a warp

  // shared: the warp's own kBytes.
  ON_DEVICE explicit LongSums(Shared<std::byte> shared)
      : values_(shared.template as<Floats4>() + lane()) {}

  // A segment from first_key on; value_of(j, i): what it sums of component 8j + 2t + i mod 2, of
  // the lane's query i / 2.
  template <class ValueOf>
  ON_DEVICE void add_segment(int first_key, const TileQueries<Kv, dim>& queries,
                             const TileScores<Kv, dim>& segment, const ValueOf& value_of) {
    UNROLLED for (int half = 0; half < 2; ++half) {
      if (first_key > queries.last_key[half]) continue;
      const MergeFactors by = merged(section_, segment.max[half], segment.sum[half], half);
      UNROLLED for (int j = 0; j < kColumns; ++j)
          UNROLLED for (int i = 2 * half; i < 2 * half + 2; ++i) section_.values[j][i] =
          fma(value_of(j, i), by.of_from, section_.values[j][i] * by.of_into);
    }
  }

  // Merges section s into the sums of all and begins the next one.
  ON_DEVICE void end_section(int s, const TileQueries<Kv, dim>& queries) {
    MergeFactors by[2];
    bool sees[2];
    UNROLLED for (int half = 0; half < 2; ++half) {
      sees[half] = s * kKvSection <= queries.last_key[half];
      if (sees[half]) by[half] = merged(all_, section_.max[half], section_.sum[half], half);
    }
    UNROLLED for (int j = 0; j < kColumns; ++j) {
      Floats4 sums = {{0, 0, 0, 0}};
      if (s > 0) sums = values_[j * kWarp];
      UNROLLED for (int i = 0; i < 4; ++i) if (sees[i / 2]) sums.at[i] =
          fma(section_.values[j][i], by[i / 2].of_from, sums.at[i] * by[i / 2].of_into);
      values_.set(j * kWarp, sums);
    }
    section_ = {};
  }

  // Of the tile's queries from first_query on.
  ON_DEVICE void store(const AttentionTensors& tensors, const QueryTile& tile, int first_query,
                       const KvMemory& kv) const {
    UNROLLED for (int j = 0; j < kColumns; ++j) {
      const Floats4 sums = values_[j * kWarp];
      UNROLLED for (int half = 0; half < 2; ++half) {
        const int query = first_query + lane() / 4 + half * 8;
        if (query >= tile.count) continue;
        store_out<Kv, dim>(tensors, tile, query, 8 * j + lane() % 4 * 2, sums.at[2 * half],
                           sums.at[2 * half + 1], all_.sum[half], kv);
      }
    }
  }

 private:
  // Of both of a lane's queries.
  struct Sums {
    float max[2] = {-kInfinity, -kInfinity}, sum[2] = {0, 0};
  };
  struct Section : Sums {
    float values[kColumns][4] = {};
  };

  ON_DEVICE static MergeFactors merged(Sums& into, float max, float sum, int half) {
    const MergeFactors by = merge_factors_log2(into.max[half], max);
    into.max[half] = by.max;
    into.sum[half] = fma(sum, by.of_from, into.sum[half] * by.of_into);
    return by;
  }

  Shared<Floats4> values_;  // a lane's share of components 8j..8j+7, at j * kWarp
  Sums all_;
  Section section_;
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
