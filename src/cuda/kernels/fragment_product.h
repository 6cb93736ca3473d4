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

#include <algorithm>

#include "cuda/arithmetic.h"
#include "cuda/kernels/fragment_sums.h"
#include "cuda/kernels/product_rows.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// Those of a warp.
struct PanelChoice {
  int64_t first;
  int64_t step = 1;
};

template <class Weights, LinearInput input, int panels, int tiles, int most_stages = 6>
class FragmentProduct {
  using Total = FragmentSums<Weights, input, panels, tiles>;
  static constexpr bool kHasInputScales = Total::kHasInputScales, kHasScales = Total::kHasScales;
  static constexpr int kSpans = Weights::kSpans;
  static_assert(!kHasScales || kSpans == 1);
  static constexpr int kRowPieces = RowLayout<Weights>::kPieces;
  static constexpr int kSpanBytes = RowLayout<Weights>::kSpanBytes;

  // What is read of one stage, kSpans spans.
  struct Stage {
    typename Weights::Piece weights[panels];
    Words4 rows[tiles][kSpans * kRowPieces];
    float weight_scales[panels][2], row_scales[tiles][2];  // where a group ends here
  };
  // What many rows are scaled by is read when a group ends, where there are warps enough to wait.
  static constexpr bool kStagesRowScales = kHasInputScales && tiles <= 2;
  // Stages that are under way while one is computed: of few tokens up to 6 KB of weights for each
  // warp, in as many registers as leave room for two blocks on a multiprocessor; fewer where the
  // caller wants more warps at a time.
  static constexpr int kStageWords =
      static_cast<int>(panels * sizeof(typename Weights::Piece) +
                       tiles * kSpans * kRowPieces * sizeof(Words4)) /
          static_cast<int>(sizeof(uint32_t)) +
      (kHasScales ? 2 * panels : 0) + (kStagesRowScales ? 2 * tiles : 0);
  static constexpr int kMostWords = kHasInputScales ? 60 : 72;
  static constexpr int kStages = std::min(std::clamp(kMostWords / kStageWords, 2, 6), most_stages);

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
    group_ = ScaleGroup(w.matrix, kHasInputScales ? x.group : 0);
    total_.clear();
  }

  // Adds the products of units [first, end). before_rows() is called when the first weights are on
  // their way and nothing of x has been read.
  template <class BeforeRows>
  ON_DEVICE void add(int first, int end, const BeforeRows& before_rows) {
    constexpr int kUnitStages = kSliceUnit / kSpan / kSpans;
    end_ = end * kUnitStages;
    const int begin = first * kUnitStages;
    Stage stages[kStages];
    UNROLLED for (int i = 0; i < kStages; ++i) if (begin + i < end_)
        load_weights(stages[i], begin + i);
    before_rows();
    UNROLLED for (int i = 0; i < kStages; ++i) if (begin + i < end_)
        load_rows(stages[i], begin + i);
    for (int base = begin; base < end_; base += kStages)
      UNROLLED for (int i = 0; i < kStages; ++i) {
        if (base + i < end_) multiply(stages[i], base + i);
        if (base + i + kStages >= end_) continue;
        load_weights(stages[i], base + i + kStages);
        load_rows(stages[i], base + i + kStages);
      }
  }
  ON_DEVICE void add(int first, int end) {
    add(first, end, [] {});
  }

  ON_DEVICE typename Total::Sums& sums() { return total_.sums(); }

 private:
  // Whether the sum of a group, or of its part in the range, ends with the stage.
  ON_DEVICE bool ends_group(int stage) const {
    return stage + 1 == end_ || group_.ends_after(stage);
  }

  ON_DEVICE void load_weights(Stage& stage, int at) const {
    UNROLLED for (int m = 0; m < panels; ++m) stage.weights[m].load(
        *w_, w_->data + panel_[m] * w_->matrix.panel_bytes, at);
    if constexpr (kHasScales) {
      if (!ends_group(at)) return;
      const int group = group_.of_weights(w_->matrix, at);
      UNROLLED for (int m = 0; m < panels; ++m) UNROLLED for (int i = 0; i < 2; ++i)
          stage.weight_scales[m][i] = w_->scale(panel_[m] * kPanel + lane() / 4 + 8 * i, group);
    }
  }

  ON_DEVICE void load_rows(Stage& stage, int at) const {
    UNROLLED for (int j = 0; j < tiles; ++j)
        UNROLLED for (int i = 0; i < kSpans * kRowPieces; ++i) {
      Words4 words = {};
      if (is_row_[j])
        words = (row_[j] + (int64_t{at} * kSpans + i / kRowPieces) * kSpanBytes)
                    .template as<Words4>()[i % kRowPieces];
      stage.rows[j][i] = words;
    }
    if constexpr (kStagesRowScales)
      if (ends_group(at)) load_row_scales(stage.row_scales, at);
  }

  ON_DEVICE void load_row_scales(float (&scales)[tiles][2], int at) const {
    const int64_t from = at * kSpan / x_->group * x_->num_rows;
    UNROLLED for (int j = 0; j < tiles; ++j) UNROLLED for (int i = 0; i < 2; ++i) scales[j][i] =
        x_->scales[from + scale_row_[j][i]];
  }

  ON_DEVICE void multiply(Stage& stage, int at) {
    UNROLLED for (int i = 0; i < kSpans * kRowPieces; ++i)
        total_.multiply(panels_, stage.weights, i, [&](int tile) { return stage.rows[tile][i]; });
    if constexpr (kHasScales) {
      if (!ends_group(at)) return;
      if constexpr (kHasInputScales && !kStagesRowScales) load_row_scales(stage.row_scales, at);
      total_.scale(stage.weight_scales, stage.row_scales);
    }
  }

  const PackedReader* w_;
  const ProductRows* x_;
  int64_t panel_[panels];
  typename Weights::Panel panels_[panels];
  Global<std::byte> row_[tiles];
  bool is_row_[tiles];
  int scale_row_[tiles][2];
  ScaleGroup group_;
  int end_;
  Total total_;
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
