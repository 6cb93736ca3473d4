// Rows of few queries, which decode: blocks share the keys of a tile among their warps, and the
// sections of keys among each other.
#include <algorithm>

#include "cuda/kernels/attention_kernels.h"
#include "cuda/kernels/attention_tile.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

constexpr int kSegmentWarps = kKvSection / kKvSegment;
constexpr int kShortThreads = kSegmentWarps * kWarp;
constexpr int kRowThreads = kShortThreads / kTileQueries;  // that share a query's sums

// Sums of sections in scratch memory, of each slot and head of keys.
template <int dim>
struct SectionSums {
  Global<Floats4> values;  // [slots, kv_heads, queries, dim / 4]
  Global<Floats2> sums;    // [slots, kv_heads, queries]: the largest score, the sum of weights
  int queries;             // at most kTileQueries

  ON_DEVICE int64_t at(int64_t slot, int kv_heads, int kv_head, int query) const {
    return (slot * kv_heads + kv_head) * queries + query;
  }
};

// A thread's share of a query's sums: four components of every 4 * kRowThreads.
template <int dim>
struct QuerySums {
  static constexpr int kFours = dim / (4 * kRowThreads);
  float max, sum;
  Floats4 values[kFours];

  ON_DEVICE static int query() { return thread_index() / kRowThreads; }
  // Which four components number i is.
  ON_DEVICE static int four(int i) { return i * kRowThreads + thread_index() % kRowThreads; }

  ON_DEVICE void clear() {
    max = -kInfinity;
    sum = 0;
    UNROLLED for (int i = 0; i < kFours; ++i) values[i] = {{0, 0, 0, 0}};
  }
  // from(i): four components of the others, number i of this thread's.
  template <class From>
  ON_DEVICE void merge(float from_max, float from_sum, const From& from) {
    const MergeFactors by = merge_factors_log2(max, from_max);
    max = by.max;
    sum = fma(from_sum, by.of_from, sum * by.of_into);
    UNROLLED for (int i = 0; i < kFours; ++i) {
      const Floats4 more = from(i);
      UNROLLED for (int j = 0; j < 4; ++j) values[i].at[j] =
          fma(more.at[j], by.of_from, values[i].at[j] * by.of_into);
    }
  }

  ON_DEVICE void save(const SectionSums<dim>& to, int64_t at) const {
    if (thread_index() % kRowThreads == 0) to.sums.set(at, {{max, sum}});
    UNROLLED for (int i = 0; i < kFours; ++i) to.values.set(at * (dim / 4) + four(i), values[i]);
  }
  template <class Kv>
  ON_DEVICE void store(const AttentionTensors& tensors, const QueryTile& tile,
                       const KvMemory& kv) const {
    UNROLLED for (int i = 0; i < kFours; ++i) UNROLLED for (int j = 0; j < 4; j += 2)
        store_out<Kv, dim>(tensors, tile, query(), 4 * four(i) + j, values[i].at[j],
                           values[i].at[j + 1], sum, kv);
  }
};

// A block takes items until there are none; warp w has segment w of each section.
template <class Kv, int dim>
struct ShortAttention {
  static constexpr int kThreads = kShortThreads;
  using Panel = TilePanel<Kv, dim>;
  using Segment = TileSegment<Kv, dim>;

  static constexpr int kSteps = 2 * Segment::kPanels;  // of a segment: its keys, then its values
  static constexpr int kStages = Panel::kHasScales ? 8 : 4;
  static constexpr int kRingBytes = kStages * Panel::kBytes;
  static constexpr int kRowFloats = dim + 8;  // of values: eight more, for the banks

  AttentionPlan plan;
  AttentionRows batch;
  KvMemory kv;
  AttentionTensors tensors;
  SectionSums<dim> sections;

  // For each warp a ring of panels; then each one's sums, and its values of each query.
  size_t shared_bytes() const {
    return kSegmentWarps * (kRingBytes + kTileQueries * sizeof(Floats2) +
                            size_t(sections.queries) * kRowFloats * sizeof(float));
  }
  ON_DEVICE static Shared<std::byte> ring() { return shared_memory() + warp() * kRingBytes; }
  ON_DEVICE static Shared<Floats2> sums_of(int w) {
    return (shared_memory() + kSegmentWarps * kRingBytes).template as<Floats2>() + w * kTileQueries;
  }
  ON_DEVICE Shared<float> values_of(int w, int query) const {
    return (shared_memory() +
            kSegmentWarps * (kRingBytes + kTileQueries * static_cast<int>(sizeof(Floats2))))
               .template as<float>() +
           (w * sections.queries + query) * kRowFloats;
  }

  ON_DEVICE void run() const {
    const int count = plan.counts[0].items;
    for (int i = block_x(); i < count; i += grid_x()) take_item(plan.items[i], block_y());
  }

  ON_DEVICE void take_item(const AttentionItem& item, int kv_head) const {
    const QueryTile tile(batch.rows[item.row], kv_head, plan.group, item.first_query, kTileQueries);
    const int first_key = item.first_section * kKvSection + warp() * kKvSegment;
    const int end_key = item.end_section * kKvSection;
    Blocks next = blocks_of(tile, first_key, end_key);
    if (next.is_any) {
      UNROLLED for (int step = 0; step < kStages; ++step) start(step, kv_head, next);
    }
    const TileQueries<Kv, dim> queries(tile, 0, tensors, kv);
    const int query = QuerySums<dim>::query();
    const bool has_query = query < tile.count;
    QuerySums<dim> all;
    all.clear();
    for (int s = item.first_section; s < item.end_section; ++s) {
      const Blocks now = next;
      next = blocks_of(tile, now.first_key + kKvSection, end_key);
      if (now.is_any) {
        Segment segment;
        read_segment(tile, now, next, queries, segment);
        share(segment, tile.count);
      }
      sync_block();
      if (has_query && s * kKvSection <= tile.last_key(query)) {
        const QuerySums<dim> section = merged(s, tile.last_key(query));
        if (item.slot >= 0)
          section.save(sections, sections.at(item.slot, kv.places.kv_heads, kv_head, query));
        else
          all.merge(section.max, section.sum, [&](int i) { return section.values[i]; });
      }
      sync_block();
    }
    if (has_query && item.slot < 0) all.template store<Kv>(tensors, tile, kv);
  }

  // The segments of a section that a query sees.
  ON_DEVICE QuerySums<dim> merged(int section, int last_key) const {
    QuerySums<dim> sums;
    sums.clear();
    for (int w = 0; w < kSegmentWarps; ++w) {
      if (section * kKvSection + w * kKvSegment > last_key) break;
      const Floats2 of_warp = sums_of(w)[sums.query()];
      const Shared<Floats4> values = values_of(w, sums.query()).template as<Floats4>();
      sums.merge(of_warp.at[0], of_warp.at[1], [&](int i) { return values[sums.four(i)]; });
    }
    return sums;
  }

  // What a warp has found, for the block.
  ON_DEVICE void share(const Segment& segment, int num_queries) const {
    UNROLLED for (int half = 0; half < 2; ++half) {
      const int query = lane() / 4 + half * 8;
      if (query >= num_queries) continue;
      if (lane() % 4 == 0) sums_of(warp()).set(query, {{segment.max[half], segment.sum[half]}});
      const Shared<Floats2> values = values_of(warp(), query).template as<Floats2>();
      UNROLLED for (int j = 0; j < dim / 8; ++j) values.set(
          4 * j + lane() % 4, {{segment.values[j][2 * half], segment.values[j][2 * half + 1]}});
    }
  }

  // The blocks of KV memory that have a segment's panels; -1: a panel is behind the last key.
  struct Blocks {
    int first_key;
    bool is_any;
    int at[Segment::kPanels];
  };
  ON_DEVICE Blocks blocks_of(const QueryTile& tile, int first_key, int end_key) const {
    Blocks blocks;
    blocks.first_key = first_key;
    blocks.is_any = first_key <= tile.last_key() && first_key < end_key;
    UNROLLED for (int p = 0; p < Segment::kPanels; ++p) {
      const int key = first_key + p * kKvPanel;
      blocks.at[p] =
          blocks.is_any && key <= tile.last_key() ? batch.block_of(tile.row, key, kv.places) : -1;
    }
    return blocks;
  }

  // The panels of a segment pass through the ring, some of them on their way while one is used; the
  // first of the warp's next segment follow behind its last.
  ON_DEVICE void read_segment(const QueryTile& tile, const Blocks& now, const Blocks& next,
                              const TileQueries<Kv, dim>& queries, Segment& segment) const {
    UNROLLED for (int step = 0; step < kSteps; ++step) {
      finish_copies<kStages - 1>();
      sync_warp();
      const Panel panel{ring() + step % kStages * Panel::kBytes};
      const int p = step % Segment::kPanels;
      if (step == p) {
        segment.add_keys(panel, p, queries);
      } else {
        if (p == 0) segment.weigh(tensors.scale, now.first_key, queries);
        const int count = tile.last_key() + 1 - now.first_key - p * kKvPanel;
        if (count < kKvPanel) {
          panel.clear_from(count);
          sync_warp();
        }
        segment.add_values(panel, p);
      }
      sync_warp();
      if (step + kStages < kSteps)
        start(step + kStages, tile.kv_head, now);
      else if (next.is_any)
        start(step + kStages - kSteps, tile.kv_head, next);
      else
        close_copies();
    }
  }

  ON_DEVICE void start(int step, int kv_head, const Blocks& blocks) const {
    const int p = step % Segment::kPanels, block = blocks.at[p];
    const Panel to{ring() + step % kStages * Panel::kBytes};
    const Global<std::byte> head = kv.head(block < 0 ? 0 : block, step != p, kv_head);
    const int panel = (blocks.first_key + p * kKvPanel) % kv.places.block_tokens / kKvPanel;
    for (int i = lane(); i < Panel::kCopies; i += kWarp) to.copy(i, kv, head, panel, block >= 0);
    close_copies();
  }
};

// A block for each tile that is split.
template <class Kv, int dim>
struct MergeSections {
  static constexpr int kThreads = kShortThreads;

  AttentionPlan plan;
  AttentionRows batch;
  KvMemory kv;
  AttentionTensors tensors;
  SectionSums<dim> sections;

  size_t shared_bytes() const { return 0; }

  ON_DEVICE void run() const {
    if (block_x() >= plan.counts[0].merges) return;
    const AttentionItem item = plan.merges[block_x()];
    const QueryTile tile(batch.rows[item.row], block_y(), plan.group, item.first_query,
                         kTileQueries);
    QuerySums<dim> all;
    const int query = all.query();
    if (query >= tile.count) return;
    all.clear();
    for (int s = 0; s < item.end_section && s * kKvSection <= tile.last_key(query); ++s) {
      const int64_t at = sections.at(item.slot + s, kv.places.kv_heads, tile.kv_head, query);
      const Floats2 sums = sections.sums[at];
      const Global<Floats4> values = sections.values + at * (dim / 4);
      all.merge(sums.at[0], sums.at[1], [&](int i) { return values[all.four(i)]; });
    }
    all.template store<Kv>(tensors, tile, kv);
  }
};

// Blocks that a GPU of today keeps busy, and some more; they share the items.
constexpr int64_t kShortBlocks = 528;

template <class Kv, int dim>
void launch_short(Stream& stream, Scratch& scratch, const AttentionPlan& plan,
                  const AttentionArgs& args, const AttentionTensors& tensors) {
  const StagedBatch& given = *args.batch;
  const AttentionRows batch(given);
  const KvMemory kv(args.kv);
  const int64_t kv_heads = args.kv.kv_heads;
  const int64_t longest_row = given.num_tokens - given.num_rows() + 1;
  const int64_t queries = std::min<int64_t>(longest_row * plan.group, kTileQueries);
  const int64_t places = plan.max_slots * kv_heads * queries;
  const SectionSums<dim> sections{take<Floats4>(scratch, places * (dim / 4)),
                                  take<Floats2>(scratch, places), static_cast<int>(queries)};
  const int64_t blocks = std::min(plan.max_items, pieces(kShortBlocks, kv_heads));
  launch(stream, {blocks, kv_heads}, ShortAttention<Kv, dim>{plan, batch, kv, tensors, sections});
  launch(stream, {plan.max_merges, kv_heads},
         MergeSections<Kv, dim>{plan, batch, kv, tensors, sections});
}

}  // namespace

void short_attention(Stream& stream, Scratch& scratch, const AttentionPlan& plan,
                     const AttentionArgs& args, const AttentionTensors& tensors) {
  with_tile_kv(args.kv, [&]<class Kv, int dim>() {
    launch_short<Kv, dim>(stream, scratch, plan, args, tensors);
  });
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
