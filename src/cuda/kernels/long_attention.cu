// Rows of many queries, chunks of prompts: the warps of a block have sixteen queries each and share
// the keys, which pass through shared memory a segment at a time.
#include "cuda/kernels/attention_kernels.h"
#include "cuda/kernels/long_sums.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

template <class Kv, int dim, int warps>
struct LongAttention {
  static constexpr int kThreads = warps * kWarp;
  using Panel = TilePanel<Kv, dim>;
  using Segment = TileSegment<Kv, dim>;
  using Queries = TileQueries<Kv, dim>;

  static constexpr int kPanels = Segment::kPanels;
  static constexpr int kStageBytes = 2 * kPanels * Panel::kBytes;
  using Sums = LongSums<Kv, dim>;

  AttentionPlan plan;
  AttentionRows batch;
  KvMemory kv;
  AttentionTensors tensors;

  // Two segments, each its keys and then its values; then each warp's sums.
  static constexpr size_t kSharedBytes = 2 * kStageBytes + warps * Sums::kBytes;
  size_t shared_bytes() const { return kSharedBytes; }
  ON_DEVICE static Panel panel(int stage, int i) {
    return {shared_memory() + (stage * kStageBytes + i * Panel::kBytes)};
  }

  ON_DEVICE void run() const {
    const int count = plan.counts[0].long_tiles;
    if (block_x() >= count) return;
    // The last ones see the most keys and begin first.
    const AttentionItem item = plan.long_tiles[count - 1 - block_x()];
    const QueryTile tile(batch.rows[item.row], block_y(), plan.group, item.first_query,
                         warps * kTileQueries);
    const int first_query = warp() * kTileQueries;
    const Queries queries(tile, first_query, tensors, kv);
    const int left = tile.count - first_query;  // for this warp and those behind it
    const int last_key =
        left <= 0 ? -1
                  : tile.last_key(first_query + (left < kTileQueries ? left : kTileQueries) - 1);
    Sums sums(shared_memory() + (2 * kStageBytes + warp() * Sums::kBytes));
    const int segments = tile.last_key() / kKvSegment + 1;
    start(tile, 0);
    close_copies();
    for (int s = 0; s < segments; ++s) {
      if (s + 1 < segments) start(tile, s + 1);
      close_copies();
      finish_copies<1>();
      sync_block();
      clear_tail(tile, s);
      if (s * kKvSegment <= last_key) {
        add_segment(s, queries, sums);
        const bool is_last = (s + 1) * kKvSegment > last_key;
        if (is_last || (s + 1) * kKvSegment % kKvSection == 0)
          sums.end_section(s * kKvSegment / kKvSection, queries);
      }
      sync_block();
    }
    if (left > 0) sums.store(tensors, tile, first_query, kv);
  }

  // Sets a segment on its way.
  ON_DEVICE void start(const QueryTile& tile, int s) const {
    UNROLLED for (int i = 0; i < 2 * kPanels; ++i) {
      const int key = s * kKvSegment + i % kPanels * kKvPanel;
      const bool is_there = key <= tile.last_key();
      const int block = is_there ? batch.block_of(tile.row, key, kv.places) : 0;
      const Global<std::byte> head = kv.head(block, i >= kPanels, tile.kv_head);
      const int from = key % kv.places.block_tokens / kKvPanel;
      for (int c = thread_index(); c < Panel::kCopies; c += kThreads)
        panel(s % 2, i).copy(c, kv, head, from, is_there);
    }
  }

  ON_DEVICE void clear_tail(const QueryTile& tile, int s) const {
    const int count = tile.last_key() + 1 - s * kKvSegment;
    if (count >= kKvSegment) return;
    const int own = count - warp() * kKvPanel;
    if (warp() < kPanels && own < kKvPanel) panel(s % 2, kPanels + warp()).clear_from(own);
    sync_block();
  }

  ON_DEVICE void add_segment(int s, const Queries& queries, Sums& sums) const {
    Segment segment;
    UNROLLED for (int p = 0; p < kPanels; ++p) segment.add_keys(panel(s % 2, p), p, queries);
    segment.weigh(tensors.scale, s * kKvSegment, queries);
    UNROLLED for (int p = 0; p < kPanels; ++p) segment.add_values(panel(s % 2, kPanels + p), p);
    sums.add_segment(s * kKvSegment, queries, segment,
                     [&](int j, int i) { return segment.values[j][i]; });
  }
};

// Eight warps where a block may have the shared memory for them, else four.
constexpr int kManyWarps = 8, kFewWarps = 4;
constexpr size_t kLeastShared = 99 << 10;  // of a block, on every GPU that has these matrix units
template <class Kv, int dim>
constexpr size_t kSharedForMany = LongAttention<Kv, dim, kManyWarps>::kSharedBytes;

template <class Kv, int dim, int warps>
void launch_long(Stream& stream, const AttentionPlan& plan, const AttentionArgs& args,
                 const AttentionTensors& tensors) {
  launch(
      stream, {plan.max_long_tiles, args.kv.kv_heads},
      LongAttention<Kv, dim, warps>{plan, AttentionRows(*args.batch), KvMemory(args.kv), tensors});
}

}  // namespace

int long_tile_queries(const KvLayerView& kv, size_t shared_bytes) {
  int warps = 0;
  with_tile_kv(kv, [&]<class Kv, int dim>() {
    warps = kSharedForMany<Kv, dim> <= shared_bytes ? kManyWarps : kFewWarps;
  });
  return warps * kTileQueries;
}

void long_attention(Stream& stream, const AttentionPlan& plan, const AttentionArgs& args,
                    const AttentionTensors& tensors) {
  with_tile_kv(args.kv, [&]<class Kv, int dim>() {
    if constexpr (kSharedForMany<Kv, dim> > kLeastShared)
      if (plan.long_tile_queries == kFewWarps * kTileQueries)
        return launch_long<Kv, dim, kFewWarps>(stream, plan, args, tensors);
    launch_long<Kv, dim, kManyWarps>(stream, plan, args, tensors);
  });
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
