// What a lane holds of products on the matrix units: sums of some panels by some tiles of 8
// columns, formed as cuda/arithmetic.h says, for whichever kernel has weights and rows at hand.
#pragma once

#include <type_traits>

#include "cuda/kernels/fragment_weights.h"
#include "cuda/language/matrix.h"
#include "tensor/weight_format.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kTileColumns = 8;

// Where sums are to be multiplied by scales: groups are one span or two, or reach over all inputs.
class ScaleGroup {
 public:
  ScaleGroup() = default;
  // input_group: of the rows; 0: they have no scales.
  ON_DEVICE ScaleGroup(const PackedMatrix& matrix, int input_group) {
    const int64_t group =
        input_group > 0 && input_group < matrix.group ? input_group : matrix.group;
    mask_ = group <= kSpan ? 0 : group <= 2 * kSpan ? 1 : INT32_MAX;
  }

  ON_DEVICE bool ends_after(int span) const { return ((span + 1) & mask_) == 0; }

  // Which of the scales of `matrix` belongs to a span. Behind the last input there may be whole
  // groups of zeros, which have none of their own.
  ON_DEVICE int of_weights(const PackedMatrix& matrix, int span) const {
    const int group = span * kSpan / matrix.group;
    return group < matrix.num_scales ? group : static_cast<int>(matrix.num_scales) - 1;
  }

 private:
  int mask_;
};

// How a lane's share of a span of a row lies: pieces of 16 bytes, two steps each.
template <class Weights>
struct RowLayout {
  static constexpr int kPieces = Weights::kIntegers ? 1 : 2;
  static constexpr int kSpanBytes = kPieces * 4 * 16;  // of all lanes of a column
};

template <class Weights, LinearInput input, int panels, int tiles>
class FragmentSums {
 public:
  static constexpr bool kHasInputScales = input != LinearInput::kAsGiven;
  static constexpr bool kHasScales = Weights::kHasScales;
  static_assert(kHasScales || !kHasInputScales);
  using Sum = std::conditional_t<Weights::kIntegers, int32_t, float>;
  using Sums = float[panels][tiles][4];

  ON_DEVICE void clear() {
    UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < 4; ++i) {
      part_[m][j][i] = 0;
      if constexpr (kHasScales) sum_[m][j][i] = 0;
    }
  }

  // Steps 2 pair and 2 pair + 1 of the weights; words_of(tile): the row's piece for them.
  template <class WordsOf>
  ON_DEVICE void multiply(const typename Weights::Panel (&of_panels)[panels],
                          const typename Weights::Piece (&weights)[panels], int pair,
                          const WordsOf& words_of) {
    uint32_t a[2][panels][4];
    UNROLLED for (int step = 0; step < 2; ++step) UNROLLED for (int m = 0; m < panels; ++m)
        Weights::operand(of_panels[m], weights[m], 2 * pair + step, a[step][m]);
    UNROLLED for (int j = 0; j < tiles; ++j) {
      const Words4 words = words_of(j);
      UNROLLED for (int step = 0; step < 2; ++step) {
        const uint32_t b[2] = {words.at[2 * step], words.at[2 * step + 1]};
        UNROLLED for (int m = 0; m < panels; ++m) mma(part_[m][j], a[step][m], b);
      }
    }
  }

  // A group ends: weight_scales of the lane's two outputs of each panel, row_scales of its two
  // columns of each tile.
  ON_DEVICE void scale(const float (&weight_scales)[panels][2],
                       const float (&row_scales)[tiles][2]) {
    static_assert(kHasScales);
    UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < 4; ++i) {
      Sum& part = part_[m][j][i];
      float scale = weight_scales[m][i / 2];
      if constexpr (kHasInputScales) scale = row_scales[j][i % 2] * scale;
      if constexpr (Weights::kIntegers)
        sum_[m][j][i] = fma(static_cast<float>(part >> Weights::kShift), scale, sum_[m][j][i]);
      else
        sum_[m][j][i] = fma(part, scale, sum_[m][j][i]);
      part = 0;
    }
  }

  ON_DEVICE Sums& sums() {
    if constexpr (kHasScales)
      return sum_;
    else
      return part_;
  }

 private:
  Sum part_[panels][tiles][4];  // of the group that is being summed; without scales, of all
  float sum_[kHasScales ? panels : 1][kHasScales ? tiles : 1][4];  // of those before
};

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
