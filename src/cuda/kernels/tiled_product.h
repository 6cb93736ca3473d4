// Products for many rows, on the matrix units: a block brings what its warps share, fragments of
// some panels and some rows of activations, to shared memory, stage by stage behind their backs.
// Each warp sums all ranges of the inputs, one after the other. The sums, and so the bits, are
// those of cuda/kernels/fragment_product.h.
//
// Which panels and rows those are, and where the sums go, says a Work: work.block() is, of the
// running block of Work::kRows rows,
//
//   is_empty()                  whether there is nothing to do
//   w                           the matrix
//   panel(i)                    its panel that is the block's i-th, i < kTiledPanels; may be beyond
//                               the last, which is then computed again
//   row(i)                      the row of x that is the block's i-th, i < kRows, or -1
//   store(i, n, r, sum, other)  sums of output n of panel(i) and of panel(i + 1), and of row(r)
#pragma once

#include "cuda/kernels/fragment_sums.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kTiledPanels = 8;  // of a block

template <class Weights, LinearInput input, class Work>
struct TiledProduct {
  static constexpr int kThreads = 256;
  static constexpr int kBlockPanels = kTiledPanels, kBlockRows = Work::kRows;
  static constexpr int kWarpsAlongOut = 4, kWarpsAlongRows = 2;
  // Of a warp.
  static constexpr int kPanels = kBlockPanels / kWarpsAlongOut;
  static constexpr int kTiles = kBlockRows / kWarpsAlongRows / kTileColumns;
  static_assert(kPanels == 2);

  // A stage: 128 bytes of each row, or a piece of the weights; in pieces of 16 bytes.
  static constexpr int kSpans = Weights::kIntegers ? 2 : Weights::kSpans;
  static constexpr int kRowPieces = RowLayout<Weights>::kPieces;
  static constexpr int kRowWords = kSpans * RowLayout<Weights>::kSpanBytes / 16;
  static constexpr int kFragments = kSpans * kSpan / fragment_inputs(Weights::kBits);
  static constexpr int kLocalWords = Weights::kHasLocals ? kFragments : 0;
  static constexpr int kPanelWords = kFragments * kWarp + kLocalWords;
  static constexpr int kStageWords = kBlockPanels * kPanelWords + kBlockRows * kRowWords;
  // As many as fit into the shared memory of every GPU since Ampere.
  static constexpr int kStages = kStageWords * 16 * 3 <= (96 << 10) ? 3 : 2;
  static constexpr int kUnitStages = kSliceUnit / kSpan / kSpans;
  static_assert(kBlockPanels * kFragments * kWarp % kThreads == 0);
  static_assert(kBlockRows * kRowWords % kThreads == 0);
  using Sums = FragmentSums<Weights, input, kPanels, kTiles>;

  using Block = typename Work::Block;

  Work work;
  ProductRows x;
  int slices;

  size_t shared_bytes() const { return size_t{kStages} * kStageWords * sizeof(Words4); }

  // What a thread has for all of k.
  struct Lane {
    typename Weights::Panel panels[kPanels];
    int64_t panel[kPanels];
    int scaled[kTiles][2];  // rows of its sums
    ScaleGroup group;
  };

  ON_DEVICE void run() const {
    const Block& block = work.block();
    if (block.is_empty()) return;
    Lane own;
    UNROLLED for (int m = 0; m < kPanels; ++m) {
      own.panel[m] = clamped(block.panel(first_panel() + m), last_panel(block));
      own.panels[m].load(block.w, own.panel[m]);
    }
    if constexpr (Sums::kHasInputScales)
      UNROLLED for (int j = 0; j < kTiles; ++j) UNROLLED for (int i = 0; i < 2; ++i) {
        const int64_t row = block.row(row_of_sum(j, i));
        own.scaled[j][i] = row < 0 ? 0 : static_cast<int>(row);
      }
    own.group = ScaleGroup(block.w.matrix, Sums::kHasInputScales ? x.group : 0);
    Sums sums;
    sums.clear();
    float total[kPanels][kTiles][4] = {};
    const int stages = static_cast<int>(slice_units(block.w.matrix.in)) * kUnitStages;
    int slice = 0, slice_end = end_of(block, slice);
    for (int i = 0; i < kStages - 1; ++i) begin_stage(block, i, stages);
    for (int at = 0; at < stages; ++at) {
      finish_copies<kStages - 2>();
      sync_block();  // the stage is there, and the one before has been read by all
      begin_stage(block, at + kStages - 1, stages);
      multiply(sums, block, own, at, at + 1 == slice_end);
      if (at + 1 < slice_end) continue;
      UNROLLED for (int m = 0; m < kPanels; ++m) UNROLLED for (int j = 0; j < kTiles; ++j)
          UNROLLED for (int i = 0; i < 4; ++i) {
        const float sum = sums.sums()[m][j][i];
        total[m][j][i] = slice == 0 ? sum : total[m][j][i] + sum;
      }
      sums.clear();
      slice_end = end_of(block, ++slice);
    }
    store(block, total);
  }

 private:
  ON_DEVICE static int64_t clamped(int64_t i, int64_t last) { return i < last ? i : last; }
  ON_DEVICE static int64_t last_panel(const Block& block) {
    return (block.w.matrix.out - 1) / kPanel;
  }
  // The warp's first panel among the block's.
  ON_DEVICE static int first_panel() { return warp() % kWarpsAlongOut * kPanels; }
  // The warp's first row among the block's.
  ON_DEVICE static int first_row() { return warp() / kWarpsAlongOut * kTiles * kTileColumns; }
  // Which of the block's rows column i of the lane's two in a tile is.
  ON_DEVICE static int row_of_sum(int tile, int i) {
    return first_row() + tile * kTileColumns + lane() % 4 * 2 + i;
  }
  ON_DEVICE int end_of(const Block& block, int slice) const {
    return static_cast<int>(slice_begin(block.w.matrix.in, slices, slice + 1)) * kUnitStages;
  }

  // Where a piece of 16 bytes of a row lies in a stage: so that eight lanes that read at once, four
  // of each of two neighbouring rows, read eight different ones of eight.
  ON_DEVICE static int row_word(int row, int word) {
    return row * kRowWords + (word ^ (row % 2 * (kRowPieces == 2 ? 1 : 4)));
  }
  ON_DEVICE Shared<Words4> stage_weights(int at) const {
    return shared_memory().as<Words4>() + at % kStages * kStageWords;
  }
  ON_DEVICE Shared<Words4> stage_rows(int at) const {
    return stage_weights(at) + kBlockPanels * kPanelWords;
  }

  ON_DEVICE void begin_stage(const Block& block, int at, int stages) const {
    if (at < stages) {
      copy_weights(block, at);
      copy_rows(block, at);
    }
    close_copies();
  }

  ON_DEVICE void copy_weights(const Block& block, int at) const {
    const Shared<Words4> to = stage_weights(at);
    constexpr int kWords = kFragments * kWarp;
    UNROLLED for (int begin = 0; begin < kBlockPanels * kWords; begin += kThreads) {
      const int i = begin + thread_index(), panel = i / kWords, word = i % kWords;
      copy_async(to + (panel * kPanelWords + word),
                 panel_data(block, panel).template as<Words4>() + (int64_t{at} * kWords + word));
    }
    if constexpr (kLocalWords > 0) {
      if (thread_index() >= kBlockPanels * kLocalWords) return;
      const int panel = thread_index() / kLocalWords, word = thread_index() % kLocalWords;
      copy_async(to + (panel * kPanelWords + kWords + word),
                 (panel_data(block, panel) + block.w.matrix.locals_at).template as<Words4>() +
                     (int64_t{at} * kLocalWords + word));
    }
  }
  ON_DEVICE static Global<std::byte> panel_data(const Block& block, int i) {
    return block.w.data + clamped(block.panel(i), last_panel(block)) * block.w.matrix.panel_bytes;
  }

  // Zeros for rows that there are not.
  ON_DEVICE void copy_rows(const Block& block, int at) const {
    const Shared<Words4> to = stage_rows(at);
    UNROLLED for (int begin = 0; begin < kBlockRows * kRowWords; begin += kThreads) {
      const int i = begin + thread_index(), word = i % kRowWords;
      const int64_t row = block.row(i / kRowWords);
      const auto from = x.numbers + (row < 0 ? 0 : row) * x.row_bytes;
      copy_async(to + row_word(i / kRowWords, word),
                 from.template as<Words4>() + (int64_t{at} * kRowWords + word),
                 row < 0 ? 0 : sizeof(Words4));
    }
  }

  ON_DEVICE void multiply(Sums& sums, const Block& block, const Lane& own, int at,
                          bool ends_slice) const {
    const Shared<Words4> weights = stage_weights(at), rows = stage_rows(at);
    const int panel = warp() % kWarpsAlongOut * kPanels;
    UNROLLED for (int p = 0; p < kSpans / Weights::kSpans; ++p) {
      typename Weights::Piece pieces[kPanels];
      UNROLLED for (int m = 0; m < kPanels; ++m) pieces[m].take(weights + (panel + m) * kPanelWords,
                                                                p, kFragments * kWarp);
      UNROLLED for (int i = 0; i < Weights::kSpans * kRowPieces; ++i) {
        // Which piece of a row: of the span, the lane's place in it, and the step.
        const int word = (p * Weights::kSpans + i / kRowPieces) * 4 * kRowPieces +
                         lane() % 4 * kRowPieces + i % kRowPieces;
        sums.multiply(own.panels, pieces, i, [&](int tile) {
          return rows[row_word(first_row() + tile * kTileColumns + lane() / 4, word)];
        });
      }
      if constexpr (Sums::kHasScales) {
        const int span = at * kSpans + p;
        if (own.group.ends_after(span) || (ends_slice && p + 1 == kSpans))
          scale(sums, block, own, span);
      }
    }
  }

  ON_DEVICE void scale(Sums& sums, const Block& block, const Lane& own, int span) const {
    float weight_scales[kPanels][2], row_scales[kTiles][2];
    const int group = own.group.of_weights(block.w.matrix, span);
    UNROLLED for (int m = 0; m < kPanels; ++m) UNROLLED for (int i = 0; i < 2; ++i)
        weight_scales[m][i] = block.w.scale(own.panel[m] * kPanel + lane() / 4 + 8 * i, group);
    if constexpr (Sums::kHasInputScales) {
      const int64_t from = span * kSpan / x.group * x.num_rows;
      UNROLLED for (int j = 0; j < kTiles; ++j) UNROLLED for (int i = 0; i < 2; ++i)
          row_scales[j][i] = x.scales[from + own.scaled[j][i]];
    }
    sums.scale(weight_scales, row_scales);
  }

  ON_DEVICE static void store(const Block& block, const float (&sums)[kPanels][kTiles][4]) {
    UNROLLED for (int j = 0; j < kTiles; ++j) UNROLLED for (int i = 0; i < 4; ++i) block.store(
        first_panel(), lane() / 4 + i / 2 * 8, row_of_sum(j, i % 2), sums[0][j][i], sums[1][j][i]);
  }
};

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
