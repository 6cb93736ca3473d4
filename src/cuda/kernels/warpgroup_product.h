// Products for many rows by warpgroup instructions (cuda/language/warpgroup.h), on cards that have
// them: weights are the left operand, made in registers; rows the right one, read from shared
// memory by the matrix units themselves. The sums, and so the bits, are those of
// cuda/kernels/fragment_product.h, as far as the card's two kinds of matrix instructions round
// alike (cuda/choose_units.h).
//
// One warpgroup of a block asks for bulk copies, stage by stage; two multiply, 64 outputs each, so
// that one turns weights into operands while the other's are multiplied. Two barrier objects belong
// to a stage: it is full, it is empty.
//
// Which panels and rows those are, and where the sums go, says a Work: work.block() is, of the
// running block of kWarpgroupPanels panels and kWarpgroupColumns rows,
//
//   is_empty()              whether there is nothing to do
//   w                       the matrix
//   panel(i)                its panel that is the block's i-th; may be beyond the last, which is
//                           then computed again
//   first_row()             where the block's rows begin among those of the map
//   row(i)                  the row of x that is the block's i-th, or -1; for its scales
//   store(i, n, r, sum)     the sum of output n of panel(i) and of the block's row r
//
// and, with Work::kMayBeGated,
//
//   is_gated()              whether the second half of the block's panels belong to the first
//   store(i, n, r, sum, other)   then, of panel(i) and of that half a block on
#pragma once

#include <algorithm>

#include "cuda/arithmetic.h"
#include "cuda/kernels/dispatch.h"
#include "cuda/kernels/fragment_sums.h"
#include "cuda/kernels/product_rows.h"
#include "cuda/language/warpgroup.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kMultiplyingWarpgroups = 2, kWarpgroupColumns = 128;
constexpr int kWarpgroupPanels = kMultiplyingWarpgroups * kWarpgroupRows / kPanel;  // of a block

template <class Weights, LinearInput input, class Work>
struct WarpgroupProduct {
  static constexpr int kThreads = (1 + kMultiplyingWarpgroups) * kWarpgroup;
  static constexpr int kRows = kWarpgroupColumns, kPanels = kWarpgroupPanels;
  // Registers of a thread. Together those of a multiprocessor, 64 k.
  static constexpr int kCopyingRegisters = 24, kMultiplyingRegisters = 240;

  static constexpr int kSums = kRows / 2;  // of a lane

  // A stage: a piece of each panel, and boxes of 64 inputs of the rows.
  static constexpr int kSpans = Weights::kSpans, kOperands = 4 * kSpans;
  static constexpr int kFragments = kSpans * kSpan / fragment_inputs(Weights::kBits);
  static constexpr int kNumberBytes = kFragments * kFragmentBytes;
  static constexpr int kLocalBytes = Weights::kHasLocals ? kFragments * kPanel : 0;
  static constexpr int kPanelBytes = kNumberBytes + kLocalBytes;
  static constexpr int kBoxBytes = kRows * kSwizzleRow;
  static constexpr int kStageBytes = kSpans * kBoxBytes + kPanels * kPanelBytes;
  // Sums on their way to the store, where one warpgroup may leave them for the other.
  static constexpr int kHandedBytes =
      Work::kMayBeGated ? kMultiplyingWarpgroups * kSums * kWarpgroup * sizeof(float) : 0;
  static constexpr int kSharedBytes = 226 << 10;  // of Hopper's 227 KB, the rest for barriers
  static constexpr int kStages = std::min(6, (kSharedBytes - kHandedBytes) / kStageBytes);
  static constexpr int kUnitStages = kSliceUnit / kSpan / kSpans;

  static constexpr bool kHasScales = Weights::kHasScales;
  static constexpr bool kHasInputScales = input != LinearInput::kAsGiven;
  static_assert(!Weights::kIntegers && (!kHasScales || kSpans == 1));

  using Block = typename Work::Block;

  Work work;
  TensorMap map;  // of the rows, in operand order
  ProductRows x;
  int slices;

  size_t shared_bytes() const {
    return size_t{kStages} * kStageBytes + kHandedBytes + (2 * kStages + 1) * sizeof(Barrier);
  }

  ON_DEVICE void run() const {
    if constexpr (kHasWarpgroups) {
      const Block& block = work.block();
      if (block.is_empty()) return;
      if (thread_index() == 0) {
        for (int i = 0; i < kStages; ++i) {
          make_barrier(full(i), 1);
          make_barrier(empty(i), kMultiplyingWarpgroups * kWarps);
        }
        make_barrier(handed(), kWarps);
        fence_async();
      }
      sync_block();
      if (thread_index() < kWarpgroup) {
        keep_registers<kCopyingRegisters>();
        if (thread_index() == 0) copy_stages(block);
      } else {
        take_registers<kMultiplyingRegisters>();
        multiply_stages(block);
      }
    }
  }

 private:
  static constexpr int kWarps = kWarpgroup / kWarp;  // of a warpgroup

  ON_DEVICE static int stages(const Block& block) {
    return static_cast<int>(slice_units(block.w.matrix.in)) * kUnitStages;
  }
  ON_DEVICE int end_of(const Block& block, int slice) const {
    return static_cast<int>(slice_begin(block.w.matrix.in, slices, slice + 1)) * kUnitStages;
  }
  ON_DEVICE static int64_t panel(const Block& block, int i) {
    const int64_t panel = block.panel(i), last = (block.w.matrix.out - 1) / kPanel;
    return panel < last ? panel : last;
  }

  // Of stage `at`: boxes of all stages lie before all pieces of weights, behind which are the sums
  // that change hands and the barriers.
  ON_DEVICE static Shared<std::byte> boxes(int at) {
    return shared_memory() + at % kStages * (kSpans * kBoxBytes);
  }
  ON_DEVICE static Shared<std::byte> weights(int at, int panel) {
    return shared_memory() + kStages * kSpans * kBoxBytes +
           (at % kStages * kPanels + panel) * kPanelBytes;
  }
  ON_DEVICE static Shared<Barrier> full(int at) {
    return (shared_memory() + kStages * kStageBytes + kHandedBytes).template as<Barrier>() +
           at % kStages;
  }
  ON_DEVICE static Shared<Barrier> empty(int at) { return full(at) + kStages; }
  ON_DEVICE static Shared<Barrier> handed() { return full(0) + 2 * kStages; }
  // Of the phase in which the place of stage `at` is filled.
  ON_DEVICE static int parity(int at) { return at / kStages % 2; }

  ON_DEVICE void copy_stages(const Block& block) const {
    const int row = static_cast<int>(block.first_row());
    for (int at = 0; at < stages(block); ++at) {
      wait_barrier(empty(at), 1 - parity(at));
      arrive_expecting(full(at), kStageBytes);
      for (int span = 0; span < kSpans; ++span)
        copy_box(boxes(at) + span * kBoxBytes, map, full(at), (at * kSpans + span) * kSpan, row);
      for (int i = 0; i < kPanels; ++i) copy_panel(block, at, i);
    }
    // The block's memory must last until everything has come, which the others wait for.
  }

  ON_DEVICE static void copy_panel(const Block& block, int at, int i) {
    const Global<std::byte> from = block.w.data + panel(block, i) * block.w.matrix.panel_bytes;
    const Shared<std::byte> to = weights(at, i);
    copy_bulk(to, from + int64_t{at} * kNumberBytes, kNumberBytes, full(at));
    if constexpr (kLocalBytes > 0)
      copy_bulk(to + kNumberBytes, from + (block.w.matrix.locals_at + int64_t{at} * kLocalBytes),
                kLocalBytes, full(at));
  }

  // What a lane sums.
  struct Sums {
    Accumulators<kRows> part;  // of the group; without scales, of the slice
    float slice[kHasScales ? kSums : 1];
    float total[kSums];
  };
  // A sum's output in the warp's panel, and its row in the block.
  ON_DEVICE static int output_of(int i) { return lane() / 4 + i / 2 % 2 * 8; }
  ON_DEVICE static int row_of(int i) { return i / 4 * 8 + lane() % 4 * 2 + i % 2; }

  ON_DEVICE void multiply_stages(const Block& block) const {
    const int place = warp() - kWarps;  // of the warp's panel
    typename Weights::Panel of_panel;
    of_panel.load(block.w, panel(block, place));
    const ScaleGroup group(block.w.matrix, kHasInputScales ? x.group : 0);
    Sums sums;
    UNROLLED for (int i = 0; i < kSums; ++i) {
      sums.part.set(i, 0);
      if constexpr (kHasScales) sums.slice[i] = 0;
    }
    int slice = 0, slice_end = end_of(block, slice);
    for (int at = 0; at < stages(block); ++at) {
      wait_barrier(full(at), parity(at));
      multiply_stage(sums.part, of_panel, at, place);
      arrive_warp(empty(at));
      const bool ends_slice = at + 1 == slice_end;
      if constexpr (kHasScales)
        if (group.ends_after(at) || ends_slice)
          scale(sums, block, at, panel(block, place), group.of_weights(block.w.matrix, at));
      if (!ends_slice) continue;
      end_slice(sums, slice);
      slice_end = end_of(block, ++slice);
    }
    store(block, sums.total, place);
  }

  ON_DEVICE static void multiply_stage(Accumulators<kRows>& part,
                                       const typename Weights::Panel& of_panel, int at, int place) {
    typename Weights::Piece piece;
    piece.take(weights(at, place).template as<Words4>(), 0,
               kNumberBytes / static_cast<int>(sizeof(Words4)));
    LeftOperand left[kOperands];
    UNROLLED for (int step = 0; step < kOperands; ++step) {
      uint32_t words[4];
      Weights::operand(of_panel, piece, step, words);
      UNROLLED for (int i = 0; i < 4; ++i) left[step].set(i, words[i]);
    }
    fence_warpgroup();
    UNROLLED for (int span = 0; span < kSpans; ++span) {
      const SwizzledMatrix box(boxes(at) + span * kBoxBytes);
      UNROLLED for (int i = 0; i < 4; ++i) multiply_async(part, left[span * 4 + i], box.sixteen(i));
    }
    close_products();
    finish_products<0>();
  }

  // A group ends with span `span`.
  ON_DEVICE void scale(Sums& sums, const Block& block, int span, int64_t panel, int group) const {
    float weight_scales[2];
    UNROLLED for (int i = 0; i < 2; ++i) weight_scales[i] =
        block.w.scale(panel * kPanel + output_of(2 * i), group);
    UNROLLED for (int i = 0; i < kSums; ++i) {
      float scale = weight_scales[i / 2 % 2];
      if constexpr (kHasInputScales) scale = row_scale(block, span, i) * scale;
      sums.slice[i] = fma(sums.part[i], scale, sums.slice[i]);
      sums.part.set(i, 0);
    }
  }
  ON_DEVICE float row_scale(const Block& block, int span, int i) const {
    const int64_t row = block.row(row_of(i));
    return x.scales[int64_t{span} * kSpan / x.group * x.num_rows + (row < 0 ? 0 : row)];
  }

  ON_DEVICE static void end_slice(Sums& sums, int slice) {
    UNROLLED for (int i = 0; i < kSums; ++i) {
      float sum;
      if constexpr (kHasScales) {
        sum = sums.slice[i];
        sums.slice[i] = 0;
      } else {
        sum = sums.part[i];
        sums.part.set(i, 0);
      }
      sums.total[i] = slice == 0 ? sum : sums.total[i] + sum;
    }
  }

  ON_DEVICE static void store(const Block& block, const float (&sums)[kSums], int place) {
    if constexpr (Work::kMayBeGated)
      store_listed(block, sums, place);
    else
      UNROLLED for (int i = 0; i < kSums; ++i) block.store(place, output_of(i), row_of(i), sums[i]);
  }

  // By way of shared memory, one sum after the other: there are no registers for so many places at
  // once. With a gate the first warpgroup takes those of the second, whose threads have the same
  // places.
  ON_DEVICE static void store_listed(const Block& block, const float (&sums)[kSums], int place) {
    const Shared<float> all = (shared_memory() + kStages * kStageBytes).template as<float>() +
                              thread_index() % kWarpgroup;
    const Shared<float> own = all + (place < kWarps ? 0 : kSums * kWarpgroup);
    UNROLLED for (int i = 0; i < kSums; ++i) own.set(i * kWarpgroup, sums[i]);
    if (!block.is_gated()) {
      for (int i = 0; i < kSums; ++i)
        block.store(place, output_of(i), row_of(i), own[i * kWarpgroup]);
    } else if (place >= kWarps) {
      arrive_warp(handed());
    } else {
      wait_barrier(handed(), 0);
      for (int i = 0; i < kSums; ++i)
        block.store(place, output_of(i), row_of(i), own[i * kWarpgroup],
                    all[(kSums + i) * kWarpgroup]);
    }
  }
};

}  // namespace
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
