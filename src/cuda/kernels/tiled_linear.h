// y = W x for many rows, on the matrix units: a block brings what its warps share, fragments of
// some panels and some rows of activations, to shared memory, stage by stage behind their backs.
// Each warp sums all ranges of the inputs, one after the other. The sums, and so the bits, are
// those of cuda/kernels/fragment_linear.h.
#pragma once

#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/fragment_sums.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

template <class Weights, LinearInput input>
struct TiledLinear {
  static constexpr int kThreads = 256;
  // Of a warp: as many as leave it registers for the sums of a group, of a range and of all.
  static constexpr int kPanels = 2;
  static constexpr int kTiles = Weights::kHasScales || Weights::kHasLocals ? 4 : 8;
  static constexpr int kWarpsAlongOut = 4, kWarpsAlongRows = 2;
  static constexpr int kBlockPanels = kWarpsAlongOut * kPanels;
  static constexpr int kBlockRows = kWarpsAlongRows * kTiles * kTileColumns;

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

  PackedReader w;
  ProductRows x;
  Global<std::byte> y;
  bool is_float;  // y; else bfloat16
  int slices;

  static int64_t blocks(int64_t out, int64_t rows) {
    return pieces(out, kPanel * kBlockPanels) * pieces(rows, kBlockRows);
  }
  size_t shared_bytes() const { return size_t{kStages} * kStageWords * sizeof(Words4); }

  // What a lane has for all of k.
  struct Lane {
    typename Weights::Panel panels[kPanels];
    int64_t panel[kPanels];
    ScaleGroup group;
  };

  ON_DEVICE void run() const {
    Lane own;
    UNROLLED for (int m = 0; m < kPanels; ++m) {
      own.panel[m] = clamped(first_panel() + m, last_panel());
      own.panels[m].load(w, own.panel[m]);
    }
    own.group = ScaleGroup(w.matrix, Sums::kHasInputScales ? x.group : 0);
    Sums sums;
    sums.clear();
    float total[kPanels][kTiles][4] = {};
    const int stages = static_cast<int>(slice_units(w.matrix.in)) * kUnitStages;
    int slice = 0, slice_end = end_of(slice);
    for (int i = 0; i < kStages - 1; ++i) begin_stage(i, stages);
    for (int at = 0; at < stages; ++at) {
      finish_copies<kStages - 2>();
      sync_block();  // the stage is there, and the one before has been read by all
      begin_stage(at + kStages - 1, stages);
      multiply(sums, own, at, at + 1 == slice_end);
      if (at + 1 < slice_end) continue;
      UNROLLED for (int m = 0; m < kPanels; ++m) UNROLLED for (int j = 0; j < kTiles; ++j)
          UNROLLED for (int i = 0; i < 4; ++i) {
        const float sum = sums.sums()[m][j][i];
        total[m][j][i] = slice == 0 ? sum : total[m][j][i] + sum;
      }
      sums.clear();
      slice_end = end_of(++slice);
    }
    store(total);
  }

 private:
  ON_DEVICE static int64_t clamped(int64_t i, int64_t last) { return i < last ? i : last; }
  ON_DEVICE int64_t last_panel() const { return (w.matrix.out - 1) / kPanel; }
  ON_DEVICE int64_t first_panel() const {
    return int64_t{block_x()} * kBlockPanels + warp() % kWarpsAlongOut * kPanels;
  }
  // The warp's first row among the block's.
  ON_DEVICE int first_row() const { return warp() / kWarpsAlongOut * kTiles * kTileColumns; }
  ON_DEVICE int end_of(int slice) const {
    return static_cast<int>(slice_begin(w.matrix.in, slices, slice + 1)) * kUnitStages;
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

  ON_DEVICE void begin_stage(int at, int stages) const {
    if (at < stages) {
      copy_weights(at);
      copy_rows(at);
    }
    close_copies();
  }

  ON_DEVICE void copy_weights(int at) const {
    const Shared<Words4> to = stage_weights(at);
    constexpr int kWords = kFragments * kWarp;
    UNROLLED for (int begin = 0; begin < kBlockPanels * kWords; begin += kThreads) {
      const int i = begin + thread_index(), panel = i / kWords, word = i % kWords;
      copy_async(to + (panel * kPanelWords + word),
                 block_panel(panel).template as<Words4>() + (int64_t{at} * kWords + word));
    }
    if constexpr (kLocalWords > 0) {
      if (thread_index() >= kBlockPanels * kLocalWords) return;
      const int panel = thread_index() / kLocalWords, word = thread_index() % kLocalWords;
      copy_async(to + (panel * kPanelWords + kWords + word),
                 (block_panel(panel) + w.matrix.locals_at).template as<Words4>() +
                     (int64_t{at} * kLocalWords + word));
    }
  }
  ON_DEVICE Global<std::byte> block_panel(int i) const {
    const int64_t panel = clamped(int64_t{block_x()} * kBlockPanels + i, last_panel());
    return w.data + panel * w.matrix.panel_bytes;
  }

  // Zeros for rows that there are not.
  ON_DEVICE void copy_rows(int at) const {
    const Shared<Words4> to = stage_rows(at);
    UNROLLED for (int begin = 0; begin < kBlockRows * kRowWords; begin += kThreads) {
      const int i = begin + thread_index(), row = i / kRowWords, word = i % kRowWords;
      const int64_t of_x = int64_t{block_y()} * kBlockRows + row;
      const auto from = x.numbers + clamped(of_x, x.num_rows - 1) * x.row_bytes;
      copy_async(to + row_word(row, word),
                 from.template as<Words4>() + (int64_t{at} * kRowWords + word),
                 of_x < x.num_rows ? sizeof(Words4) : 0);
    }
  }

  ON_DEVICE void multiply(Sums& sums, const Lane& own, int at, bool ends_slice) const {
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
        if (own.group.ends_after(span) || (ends_slice && p + 1 == kSpans)) scale(sums, own, span);
      }
    }
  }

  ON_DEVICE void scale(Sums& sums, const Lane& own, int span) const {
    float weight_scales[kPanels][2], row_scales[kTiles][2];
    const int group = own.group.of_weights(w.matrix, span);
    UNROLLED for (int m = 0; m < kPanels; ++m) UNROLLED for (int i = 0; i < 2; ++i)
        weight_scales[m][i] = w.scale(own.panel[m] * kPanel + lane() / 4 + 8 * i, group);
    if constexpr (Sums::kHasInputScales) {
      const int64_t from = span * kSpan / x.group * x.num_rows;
      UNROLLED for (int j = 0; j < kTiles; ++j) UNROLLED for (int i = 0; i < 2; ++i)
          row_scales[j][i] = x.scales[from + clamped(row(j, i), x.num_rows - 1)];
    }
    sums.scale(weight_scales, row_scales);
  }

  // Of y: column i of the lane's two in a tile.
  ON_DEVICE int64_t row(int tile, int i) const {
    return int64_t{block_y()} * kBlockRows + first_row() + tile * kTileColumns + lane() % 4 * 2 + i;
  }

  ON_DEVICE void store(const float (&sums)[kPanels][kTiles][4]) const {
    UNROLLED for (int m = 0; m < kPanels; ++m) UNROLLED for (int j = 0; j < kTiles; ++j)
        UNROLLED for (int i = 0; i < 4; ++i) {
      const int64_t n = (first_panel() + m) * kPanel + lane() / 4 + i / 2 * 8;
      const int64_t of_y = row(j, i % 2), at = of_y * w.matrix.out + n;
      if (n >= w.matrix.out || of_y >= x.num_rows) continue;
      if (is_float)
        y.as<float>().set(at, sums[m][j][i]);
      else
        y.as<Bf16>().set(at, to_bf16(sums[m][j][i]));
    }
  }
};

template <class Weights, LinearInput input>
void launch_tiled(Stream& stream, const Linear& w, const ProductRows& x, const DeviceView& y) {
  using Kernel = TiledLinear<Weights, input>;
  launch(stream,
         {pieces(w.out, kPanel * Kernel::kBlockPanels), pieces(x.num_rows, Kernel::kBlockRows)},
         Kernel{PackedReader(w), x, global<std::byte>(y), y.dtype == DType::kF32,
                slices(w.out, w.in)});
}

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
