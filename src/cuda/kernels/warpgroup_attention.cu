// long_attention.cu by warpgroup instructions: two warpgroups of a block have 64 queries each, and
// a third brings keys and values. KV memory holds them as the instructions of a warp read them
// (cuda/packing/kv_blocks.h); that warpgroup writes them anew, as rows that are swizzled, and 8-bit
// numbers as bfloat16. The sums, and so the bits, are those of attention_tile.h as far as the
// card's two kinds of matrix instructions round alike (cuda/choose_units.h).
#include "cuda/kernels/attention_kernels.h"
#include "cuda/kernels/long_sums.h"
#include "cuda/language/warpgroup.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A segment's keys or values as warpgroup instructions read them: keys are 64 rows of components,
// in boxes of 64 of these; values a row of 64 tokens for each component. Sixteen at a time lie in
// operand order: lane t of an instruction of a warp has places 2t, 2t + 1, 2t + 8 and 2t + 9.
template <class Kv, int dim>
struct PreparedSegment {
  using Panel = TilePanel<Kv, dim>;
  static constexpr int kPanels = kKvSegment / kKvPanel;
  static constexpr int kBoxBytes = kKvSegment * kSwizzleRow;
  static constexpr int kMatrixBytes = kKvSegment * dim * static_cast<int>(sizeof(Bf16));
  static constexpr int kScaleBytes = Panel::kHasScales ? kKvSegment * 4 : 0;
  // Scales lie behind both matrices of all stages, so that those begin at multiples of 1024 bytes.
  Shared<std::byte> matrices, all_scales;

  ON_DEVICE Shared<std::byte> keys() const { return matrices; }
  ON_DEVICE Shared<std::byte> values() const { return matrices + kMatrixBytes; }
  ON_DEVICE Shared<float> scales(bool of_values) const {
    return (all_scales + (of_values ? kScaleBytes : 0)).template as<float>();
  }
  // Of tokens 4t..4t+3 of panel p.
  ON_DEVICE Floats4 scales(bool of_values, int p) const {
    return scales(of_values).template as<Floats4>()[p * 4 + lane() % 4];
  }

  // Places 2t and 2t + 1, then 2t + 8 and 2t + 9 of the sixteen from 16 i on of a matrix's row.
  ON_DEVICE static void set(Shared<std::byte> matrix, int row, int i, int t, uint32_t first,
                            uint32_t second) {
    const int piece = row * 8 + i * 2;  // of 16 bytes
    set_piece(matrix, piece, t, first);
    set_piece(matrix, piece + 1, t, second);
  }

 private:
  // The matrix begins where the swizzle does.
  ON_DEVICE static void set_piece(Shared<std::byte> matrix, int piece, int word, uint32_t pair) {
    const auto at = static_cast<int>(swizzled(static_cast<uint32_t>(piece) * 16));
    (matrix + at).as<uint32_t>().set(word, pair);
  }
};

template <class Kv, int dim>
struct WarpgroupAttention {
  static constexpr int kQueries = kWarpgroupQueries;
  static_assert(kQueries == 2 * kWarpgroupRows);
  static constexpr int kThreads = 3 * kWarpgroup;
  static constexpr int kPreparingRegisters = 40, kMultiplyingRegisters = 232;
  static constexpr int kWarps = kWarpgroup / kWarp;  // of a warpgroup
  using Panel = TilePanel<Kv, dim>;
  using Queries = TileQueries<Kv, dim>;
  using Scores = TileScores<Kv, dim>;
  using Prepared = PreparedSegment<Kv, dim>;
  using Sums = LongSums<Kv, dim>;

  static constexpr int kPanels = Prepared::kPanels;
  static constexpr int kPieces = dim / kKvPanel;
  static constexpr int kStages = 2;

  AttentionPlan plan;
  AttentionRows batch;
  KvMemory kv;
  AttentionTensors tensors;

  // Prepared segments, panels as they come, sums of all sections, scales, barriers.
  static constexpr int kCopiedAt = kStages * 2 * Prepared::kMatrixBytes;
  static constexpr int kCopiedBytes = 2 * kPanels * Panel::kBytes;
  static constexpr int kSumsAt = kCopiedAt + kStages * kCopiedBytes;
  static constexpr int kScalesAt = kSumsAt + 2 * kWarps * Sums::kBytes;
  static constexpr int kBarriersAt = kScalesAt + kStages * 2 * Prepared::kScaleBytes;
  static constexpr size_t kSharedBytes = kBarriersAt + 2 * kStages * sizeof(Barrier);
  size_t shared_bytes() const { return kSharedBytes; }

  ON_DEVICE static Prepared prepared(int s) {
    return {shared_memory() + s % kStages * 2 * Prepared::kMatrixBytes,
            shared_memory() + (kScalesAt + s % kStages * 2 * Prepared::kScaleBytes)};
  }
  // Panel i of a segment's keys, and then of its values.
  ON_DEVICE static Panel copied(int s, int i) {
    return {shared_memory() + (kCopiedAt + s % kStages * kCopiedBytes + i * Panel::kBytes)};
  }
  ON_DEVICE static Shared<Barrier> full(int s) {
    return (shared_memory() + kBarriersAt).template as<Barrier>() + s % kStages;
  }
  ON_DEVICE static Shared<Barrier> empty(int s) { return full(s) + kStages; }
  ON_DEVICE static int parity(int s) { return s / kStages % 2; }

  ON_DEVICE void run() const {
    if constexpr (kHasWarpgroups) {
      const int count = plan.counts[0].long_tiles;
      if (block_x() >= count) return;
      // The last ones see the most keys and begin first.
      const AttentionItem item = plan.long_tiles[count - 1 - block_x()];
      const QueryTile tile(batch.rows[item.row], block_y(), plan.group, item.first_query, kQueries);
      if (thread_index() == 0)
        for (int s = 0; s < kStages; ++s) {
          make_barrier(full(s), kWarps);
          make_barrier(empty(s), 2 * kWarps);
        }
      sync_block();
      const int segments = tile.last_key() / kKvSegment + 1;
      if (thread_index() < kWarpgroup) {
        keep_registers<kPreparingRegisters>();
        prepare(tile, segments);
      } else {
        take_registers<kMultiplyingRegisters>();
        attend(tile, segments);
      }
    }
  }

 private:
  // Each thread prepares what it has copied itself.
  ON_DEVICE void prepare(const QueryTile& tile, int segments) const {
    start(tile, 0);
    close_copies();
    for (int s = 0; s < segments; ++s) {
      if (s + 1 < segments) start(tile, s + 1);
      close_copies();
      finish_copies<1>();
      wait_barrier(empty(s), 1 - parity(s));
      const int count = tile.last_key() + 1 - s * kKvSegment;
      for (int i = 0; i < 2 * kPanels; ++i)
        for (int c = thread_index(); c < Panel::kCopies; c += kWarpgroup)
          prepare_copy(s, i, c, count - i % kPanels * kKvPanel);
      fence_async();
      arrive_warp(full(s));
    }
  }

  // Sets a segment on its way.
  ON_DEVICE void start(const QueryTile& tile, int s) const {
    for (int i = 0; i < 2 * kPanels; ++i) {
      const int key = s * kKvSegment + i % kPanels * kKvPanel;
      const bool is_there = key <= tile.last_key();
      const int block = is_there ? batch.block_of(tile.row, key, kv.places) : 0;
      const Global<std::byte> head = kv.head(block, i >= kPanels, tile.kv_head);
      const int from = key % kv.places.block_tokens / kKvPanel;
      for (int c = thread_index(); c < Panel::kCopies; c += kWarpgroup)
        copied(s, i).copy(c, kv, head, from, is_there);
    }
  }

  // Copy c of panel i, of which the first `count` tokens are there. Values that were never written
  // may be NaN, which a probability of zero does not hide: they become zeros.
  ON_DEVICE static void prepare_copy(int s, int i, int c, int count) {
    constexpr int kOfNumbers = Panel::kNumberBytes / static_cast<int>(sizeof(Words4));
    const bool of_values = i >= kPanels;
    const Words4 words = copied(s, i).data.template as<Words4>()[c];
    if (c >= kOfNumbers) {
      UNROLLED for (int j = 0; j < 4; ++j) {
        const int token = (c - kOfNumbers) * 4 + j;
        prepared(s).scales(of_values).set(
            i % kPanels * kKvPanel + token,
            of_values && token >= count ? 0.0f : bits_as<float>(words.at[j]));
      }
    } else if constexpr (sizeof(Kv) == 2) {
      prepare_eight(s, i, c, count, words.at);
    } else {
      UNROLLED for (int half = 0; half < 2; ++half) {
        const uint32_t low = words.at[2 * half], high = words.at[2 * half + 1];
        const uint32_t pairs[4] = {widened<Kv>(low), widened<Kv>(low >> 8), widened<Kv>(high),
                                   widened<Kv>(high >> 8)};
        prepare_eight(s, i, 2 * c + half, kKvPanel, pairs);
      }
    }
  }

  // Lane `share` mod 32's eight numbers of piece `share` / 32 of a panel, for the rows g and g + 8.
  ON_DEVICE static void prepare_eight(int s, int i, int share, int count,
                                      const uint32_t (&pairs)[4]) {
    const int piece = share / kWarp, g = share % kWarp / 4, t = share % 4, p = i % kPanels;
    UNROLLED for (int half = 0; half < 2; ++half) {
      const uint32_t first = pairs[2 * half], second = pairs[2 * half + 1];
      const int row = g + 8 * half;
      if (i < kPanels)
        Prepared::set(prepared(s).keys() + piece / 4 * Prepared::kBoxBytes, p * kKvPanel + row,
                      piece % 4, t, first, second);
      else
        Prepared::set(prepared(s).values(), piece * kKvPanel + row, p, t,
                      first & Panel::kept(4 * t, count), second & Panel::kept(4 * t + 2, count));
    }
  }

  // The queries of a warp as the left operand.
  struct LeftQueries {
    LeftOperand pieces[kPieces];

    ON_DEVICE explicit LeftQueries(const Queries& queries) {
      UNROLLED for (int i = 0; i < kPieces; ++i) UNROLLED for (int j = 0; j < 4; ++j) pieces[i].set(
          j, queries.operands[i][j]);
    }
  };

  ON_DEVICE void attend(const QueryTile& tile, int segments) const {
    const int first_query = (warp() - kWarps) * kTileQueries;
    const Queries queries(tile, first_query, tensors, kv);
    LeftQueries left(queries);
    // That any query of the warpgroup may see.
    const int first_of_group = first_query / kWarpgroupRows * kWarpgroupRows;
    const int end = first_of_group + kWarpgroupRows;
    const int last_key = first_of_group >= tile.count
                             ? -1
                             : tile.last_key((end < tile.count ? end : tile.count) - 1);
    Sums sums(shared_memory() + (kSumsAt + (warp() - kWarps) * Sums::kBytes));
    for (int s = 0; s < segments; ++s) {
      wait_barrier(full(s), parity(s));
      const bool sees = s * kKvSegment <= last_key;
      if (sees) add_segment(s, queries, left, sums);
      arrive_warp(empty(s));
      const bool is_last = (s + 1) * kKvSegment > last_key;
      if (sees && (is_last || (s + 1) * kKvSegment % kKvSection == 0))
        sums.end_section(s * kKvSegment / kKvSection, queries);
    }
    if (first_query < tile.count) sums.store(tensors, tile, first_query, kv);
  }

  ON_DEVICE void add_segment(int s, const Queries& queries, LeftQueries& left, Sums& sums) const {
    Scores segment;
    score(prepared(s), left, segment);
    segment.weigh(tensors.scale, s * kKvSegment, queries);
    Accumulators<dim> values;
    multiply_values(prepared(s), segment, values);
    sums.add_segment(s * kKvSegment, queries, segment,
                     [&](int j, int i) { return values[4 * j + i]; });
  }

  ON_DEVICE static void score(const Prepared& keys, LeftQueries& left, Scores& segment) {
    Accumulators<kKvSegment> sums;
    UNROLLED for (int i = 0; i < kKvSegment / 2; ++i) sums.set(i, 0);
    fence_warpgroup();
    UNROLLED for (int i = 0; i < kPieces; ++i) {
      const SwizzledMatrix box(keys.keys() + i / 4 * Prepared::kBoxBytes);
      multiply_async(sums, left.pieces[i], box.sixteen(i % 4));
    }
    close_products();
    finish_products<0>();
    UNROLLED for (int j = 0; j < 2 * kPanels; ++j) {
      Floats4 scales = {{1, 1, 1, 1}};
      if constexpr (Panel::kHasScales) scales = keys.scales(false, j / 2);
      UNROLLED for (int i = 0; i < 4; ++i) {
        segment.scores[j][i] = sums[4 * j + i];
        if constexpr (Panel::kHasScales) segment.scores[j][i] *= scales.at[j % 2 * 2 + i % 2];
      }
    }
  }

  ON_DEVICE static void multiply_values(const Prepared& prepared, const Scores& segment,
                                        Accumulators<dim>& sums) {
    LeftOperand weights[kPanels];
    UNROLLED for (int p = 0; p < kPanels; ++p) {
      Floats4 scales = {{1, 1, 1, 1}};
      if constexpr (Panel::kHasScales) scales = prepared.scales(true, p);
      uint32_t words[4];
      segment.weights(p, scales, words);
      UNROLLED for (int i = 0; i < 4; ++i) weights[p].set(i, words[i]);
    }
    UNROLLED for (int i = 0; i < dim / 2; ++i) sums.set(i, 0);
    const SwizzledMatrix values(prepared.values());
    fence_warpgroup();
    UNROLLED for (int p = 0; p < kPanels; ++p) multiply_async(sums, weights[p], values.sixteen(p));
    close_products();
    finish_products<0>();
  }
};

}  // namespace

size_t warpgroup_attention_bytes(const KvLayerView& kv) {
  size_t bytes = 0;
  with_tile_kv(kv, [&]<class Kv, int dim>() { bytes = WarpgroupAttention<Kv, dim>::kSharedBytes; });
  return bytes;
}

void warpgroup_attention(Stream& stream, const AttentionPlan& plan, const AttentionArgs& args,
                         const AttentionTensors& tensors) {
  with_tile_kv(args.kv, [&]<class Kv, int dim>() {
    using Kernel = WarpgroupAttention<Kv, dim>;
    CHECK_EQ(plan.long_tile_queries, Kernel::kQueries);
    launch(stream, {plan.max_long_tiles, args.kv.kv_heads},
           Kernel{plan, AttentionRows(*args.batch), KvMemory(args.kv), tensors});
  });
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
