// The inner part of products on the matrix units, for whichever kernel has some rows of activations
// and a matrix in fragments: a warp's sums of `panels` panels, 16 outputs each, by `tiles` tiles of
// 8 columns, over a range of the inputs. A column is a row of the activations, or none.
//
//   FragmentProduct<Bf16Weights, LinearInput::kAsGiven, 1, 1> product;
//   product.begin(w, {first_panel}, x, [&](int column) { return row or -1; });
//   product.add(first unit, last unit + 1); // of kSliceUnit inputs
//   product.sums()[panel][tile][i];         // as cuda/language/matrix.h has d: of output
//                                           // lane / 4 + i / 2 * 8, column lane % 4 * 2 + i % 2
//
// add_slices() then adds what the warps of a block have summed of different ranges.
#pragma once

#include <type_traits>

#include "cuda/arithmetic.h"
#include "cuda/kernels/fragment_weights.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/language/matrix.h"
#include "tensor/weight_format.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kTileColumns = 8;

// Those of a warp.
struct PanelChoice {
  int64_t first;
  int64_t step = 1;
};

template <class Weights, LinearInput input, int panels, int tiles, int most_stages = 6>
class FragmentProduct {
  static constexpr bool kHasInputScales = input != LinearInput::kAsGiven;
  static constexpr bool kHasScales = Weights::kHasScales;
  static constexpr int kSpans = Weights::kSpans;
  static_assert(!kHasScales || kSpans == 1);
  static_assert(kHasScales || !kHasInputScales);
  // A lane's share of a span of a row, in pieces of 16 bytes; steps are of 8 bytes.
  static constexpr int kRowPieces = Weights::kIntegers ? 1 : 2;
  static constexpr int kSteps = 2 * kRowPieces * kSpans;
  static constexpr int kSpanBytes = kRowPieces * 4 * 16;
  using Sum = std::conditional_t<Weights::kIntegers, int32_t, float>;

  // What is read of one stage, kSpans spans.
  struct Stage {
    typename Weights::Piece weights[panels];
    Words4 rows[tiles][kSpans * kRowPieces];
    float weight_scales[panels][2], row_scales[tiles][2];  // where a group ends here
  };
  // Stages that are under way while one is computed: so that what a lane waits for is about 100
  // registers, and of few tokens 8 KB of weights for each warp; fewer where the caller wants more
  // warps at a time.
  static constexpr int kStageWords = static_cast<int>(
      (panels * sizeof(typename Weights::Piece) + tiles * kSpans * kRowPieces * sizeof(Words4)) /
      sizeof(uint32_t));
  static constexpr int kWantedStages = kStageWords >= 40  ? 2
                                       : kStageWords > 24 ? 3
                                       : kStageWords > 16 ? 4
                                                          : 6;
  static constexpr int kStages = kWantedStages < most_stages ? kWantedStages : most_stages;

 public:
  // row_of(column): which row of x a column reads, or -1.
  template <class RowOf>
  ON_DEVICE void begin(const PackedReader& w, const PanelChoice& choice, const ProductRows& x,
                       const RowOf& row_of) {
    w_ = &w;
    x_ = &x;
    UNROLLED for (int m = 0; m < panels; ++m) {
      // A warp with fewer panels than it has room for computes the last one again.
      const int64_t last = (w.matrix.out - 1) / kPanel, panel = choice.first + m * choice.step;
      panel_[m] = panel < last ? panel : last;
      panels_[m].load(w, panel_[m]);
    }
    UNROLLED for (int j = 0; j < tiles; ++j) {
      const int64_t row = row_of(j * kTileColumns + lane() / 4);
      is_row_[j] = row >= 0;
      row_[j] = x.numbers + (is_row_[j] ? row * x.row_bytes : 0) + lane() % 4 * (16 * kRowPieces);
      UNROLLED for (int i = 0; i < 2; ++i) {
        const int64_t of_sum = kHasInputScales ? row_of(j * kTileColumns + lane() % 4 * 2 + i) : -1;
        scale_row_[j][i] = static_cast<int>(of_sum < 0 ? 0 : of_sum);
      }
    }
    int group = w.matrix.group;
    if (kHasInputScales && x.group < group) group = x.group;
    group_spans_ = (group + kSpan - 1) / kSpan;
    UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < 4; ++i) {
      part_[m][j][i] = 0;
      if constexpr (kHasScales) sum_[m][j][i] = 0;
    }
  }

  // Adds the products of units [first, end).
  ON_DEVICE void add(int first, int end) {
    constexpr int kUnitStages = kSliceUnit / kSpan / kSpans;
    end_ = end * kUnitStages;
    const int begin = first * kUnitStages;
    Stage stages[kStages];
    UNROLLED for (int i = 0; i < kStages; ++i) if (begin + i < end_) load(stages[i], begin + i);
    for (int base = begin; base < end_; base += kStages)
      UNROLLED for (int i = 0; i < kStages; ++i) {
        if (base + i < end_) multiply(stages[i], base + i);
        if (base + i + kStages < end_) load(stages[i], base + i + kStages);
      }
  }

  using Sums = float[panels][tiles][4];
  ON_DEVICE Sums& sums() {
    if constexpr (kHasScales)
      return sum_;
    else
      return part_;
  }

 private:
  // Whether the sum of a group, or of its part in the range, ends with the stage.
  ON_DEVICE bool ends_group(int stage) const {
    return stage + 1 == end_ || (stage + 1) % group_spans_ == 0;
  }

  ON_DEVICE void load(Stage& stage, int at) const {
    UNROLLED for (int m = 0; m < panels; ++m) stage.weights[m].load(
        *w_, w_->data + panel_[m] * w_->matrix.panel_bytes, at);
    UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < kSpans * kRowPieces; ++i) {
      Words4 words = {};
      if (is_row_[j])
        words = (row_[j] + (int64_t{at} * kSpans + i / kRowPieces) * kSpanBytes)
                    .template as<Words4>()[i % kRowPieces];
      stage.rows[j][i] = words;
    }
    if constexpr (kHasScales)
      if (ends_group(at)) load_scales(stage, at);
  }

  ON_DEVICE void load_scales(Stage& stage, int at) const {
    const PackedMatrix& matrix = w_->matrix;
    // Behind the last input there may be whole groups of zeros, which have no scale of their own.
    const int last = static_cast<int>(matrix.num_scales) - 1, group = at * kSpan / matrix.group;
    UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int i = 0; i < 2; ++i)
        stage.weight_scales[m][i] =
        w_->scale(panel_[m] * kPanel + lane() / 4 + 8 * i, group < last ? group : last);
    if constexpr (kHasInputScales) {
      const int64_t from = at * kSpan / x_->group * x_->num_rows;
      UNROLLED for (int j = 0; j < tiles; ++j) UNROLLED for (int i = 0; i < 2; ++i)
          stage.row_scales[j][i] = x_->scales[from + scale_row_[j][i]];
    }
  }

  ON_DEVICE void multiply(const Stage& stage, int at) {
    UNROLLED for (int step = 0; step < kSteps; ++step) {
      uint32_t a[panels][4];
      UNROLLED for (int m = 0; m < panels; ++m)
          Weights::operand(panels_[m], stage.weights[m], step, a[m]);
      UNROLLED for (int j = 0; j < tiles; ++j) {
        const Words4& words = stage.rows[j][step / 2];
        const uint32_t b[2] = {words.at[step % 2 * 2], words.at[step % 2 * 2 + 1]};
        UNROLLED for (int m = 0; m < panels; ++m) mma(part_[m][j], a[m], b);
      }
    }
    if constexpr (kHasScales)
      if (ends_group(at)) scale_parts(stage);
  }

  ON_DEVICE void scale_parts(const Stage& stage) {
    UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < 4; ++i) {
      Sum& part = part_[m][j][i];
      float scale = stage.weight_scales[m][i / 2];
      if constexpr (kHasInputScales) scale = stage.row_scales[j][i % 2] * scale;
      if constexpr (Weights::kIntegers)
        sum_[m][j][i] = fma(static_cast<float>(part >> Weights::kShift), scale, sum_[m][j][i]);
      else
        sum_[m][j][i] = fma(part, scale, sum_[m][j][i]);
      part = 0;
    }
  }

  const PackedReader* w_;
  const ProductRows* x_;
  int64_t panel_[panels];
  typename Weights::Panel panels_[panels];
  Global<std::byte> row_[tiles];
  bool is_row_[tiles];
  int scale_row_[tiles][2];
  int group_spans_, end_;
  Sum part_[panels][tiles][4];
  float sum_[kHasScales ? panels : 1][kHasScales ? tiles : 1][4];
};

// Bytes of shared memory that add_slices() takes.
constexpr size_t slices_bytes(int panels, int tiles, int count, int warps) {
  return count > 1 ? size_t{sizeof(float)} * 4 * kWarp * panels * tiles * warps : 0;
}

// Warps w of a block with equal w / count have sums of different ranges, ascending with w: adds
// them in this order. store(panel, tile, sums) is called for each tile of `together` panels, the
// first of which is given, by one of the warps; sums[i] are of panel + i. All threads of the block
// call; with `shared` of slices_bytes() bytes.
template <int together, int panels, int tiles, class Store>
ON_DEVICE void add_slices(float (&sums)[panels][tiles][4], int count, Shared<std::byte> shared,
                          const Store& store) {
  struct alignas(16) Four {
    float at[4];
  };
  static_assert(panels % together == 0);
  float added[together][4];
  if (count == 1) {
    UNROLLED for (int m = 0; m < panels; m += together) UNROLLED for (int j = 0; j < tiles; ++j) {
      UNROLLED for (int i = 0; i < 4 * together; ++i) added[i / 4][i % 4] =
          sums[m + i / 4][j][i % 4];
      store(m, j, added);
    }
    return;
  }
  const Shared<Four> all = shared.as<Four>() + lane();
  const auto place = [](int of_warp, int panel, int tile) {
    return ((of_warp * panels + panel) * tiles + tile) * kWarp;
  };
  UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int j = 0; j < tiles; ++j) {
    const float(&own)[4] = sums[m][j];
    all.set(place(warp(), m, j), {{own[0], own[1], own[2], own[3]}});
  }
  sync_block();
  const int slice = warp() % count, first = warp() - slice;
  for (int part = slice; part < panels / together * tiles; part += count) {
    const int panel = part / tiles * together, tile = part % tiles;
    for (int s = 0; s < count; ++s) UNROLLED for (int m = 0; m < together; ++m) {
        const Four more = all[place(first + s, panel + m, tile)];
        UNROLLED for (int i = 0; i < 4; ++i) added[m][i] =
            s == 0 ? more.at[i] : added[m][i] + more.at[i];
      }
    store(panel, tile, added);
  }
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
