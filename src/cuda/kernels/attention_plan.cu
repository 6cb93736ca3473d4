// The lists of attention_plan.h.
#include "cuda/kernels/attention_plan.h"

#include <algorithm>

#include "cuda/kernels/attention_planner.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// A tile is split where it has more than this share of all sections: so there are fewer split ones
// than this, and no item is much longer than others.
constexpr int kShares = 128;

// One block. First the sections of all short tiles are counted, then each thread writes what its
// rows need behind what the rows before need.
struct MakePlan {
  static constexpr int kThreads = 256;

  AttentionPlan plan;
  AttentionRows batch;

  size_t shared_bytes() const { return kThreads * sizeof(AttentionCounts); }

  ON_DEVICE void run() const {
    int32_t sections = 0;
    for (int r = thread_index(); r < batch.num_rows; r += kThreads) {
      const RaggedRow row = batch.rows[r];
      if (is_short(row)) sections += tiles_of(row, kTileQueries) * sections_of(row);
    }
    AttentionCounts total;
    running({sections, 0, 0, 0}, total);
    const int32_t most = total.items / kShares > 1 ? total.items / kShares : 1;
    AttentionCounts before = {0, 0, 0, 0};
    for (int first = 0; first < batch.num_rows; first += kThreads)
      before = add_rows(first + thread_index(), most, before);
    if (thread_index() == 0) plan.counts.set(0, before);
  }

  // One row for each thread, behind what is listed `before` them; returns what then is.
  ON_DEVICE AttentionCounts add_rows(int r, int32_t most, const AttentionCounts& before) const {
    RaggedRow row = {};
    if (r < batch.num_rows) row = batch.rows[r];
    const bool is_short_row = r < batch.num_rows && is_short(row);
    const int32_t tiles = is_short_row ? tiles_of(row, kTileQueries) : 0;
    const int32_t sections = sections_of(row);
    AttentionCounts total;
    const int32_t slots = sections > most ? tiles * sections : 0;
    const int32_t end_slot = before.slots + running({0, 0, 0, slots}, total).slots;
    const bool is_split = slots > 0 && end_slot <= plan.max_slots;

    AttentionCounts own = {is_split ? slots : tiles, is_split ? tiles : 0, 0, slots};
    if (r < batch.num_rows && !is_short_row) own.long_tiles = tiles_of(row, plan.long_tile_queries);
    const AttentionCounts end = sum(before, running(own, total));
    for (int32_t i = 0; i < own.long_tiles; ++i)
      plan.long_tiles.set(end.long_tiles - own.long_tiles + i,
                          {r, i * plan.long_tile_queries, 0, sections, -1});
    for (int32_t i = 0; i < tiles; ++i) {
      const AttentionItem tile = {r, i * kTileQueries, 0, sections,
                                  is_split ? end_slot - slots + i * sections : -1};
      if (is_split)
        add_split(tile, end.merges - own.merges + i, end.items - own.items + i * sections);
      else
        plan.items.set(end.items - own.items + i, tile);
    }
    return sum(before, total);
  }

  ON_DEVICE void add_split(const AttentionItem& tile, int32_t merge, int32_t first_item) const {
    plan.merges.set(merge, tile);
    for (int32_t s = 0; s < tile.end_section; ++s)
      plan.items.set(first_item + s, {tile.row, tile.first_query, s, s + 1, tile.slot + s});
  }

  // The sum of all threads' counts up to this one's, and of all.
  ON_DEVICE AttentionCounts running(AttentionCounts own, AttentionCounts& total) const {
    const Shared<AttentionCounts> sums = shared_memory().as<AttentionCounts>();
    sync_block();
    sums.set(thread_index(), own);
    sync_block();
    for (int by = 1; by < kThreads; by *= 2) {
      if (thread_index() >= by) own = sum(own, sums[thread_index() - by]);
      sync_block();
      sums.set(thread_index(), own);
      sync_block();
    }
    total = sums[kThreads - 1];
    return own;
  }
  ON_DEVICE static AttentionCounts sum(const AttentionCounts& a, const AttentionCounts& b) {
    return {a.items + b.items, a.merges + b.merges, a.long_tiles + b.long_tiles, a.slots + b.slots};
  }

  ON_DEVICE int32_t tiles_of(const RaggedRow& row, int queries) const {
    return (row.num_tokens * plan.group + queries - 1) / queries;
  }
  ON_DEVICE bool is_short(const RaggedRow& row) const {
    return tiles_of(row, kTileQueries) <= kShortRowTiles;
  }
  ON_DEVICE static int32_t sections_of(const RaggedRow& row) {
    return (row.first_position + row.num_tokens + kKvSection - 1) / kKvSection;
  }
};

// At most so many tiles of that many queries are cut from the rows of a batch.
int64_t most_tiles(const StagedBatch& batch, int group, int queries) {
  return pieces(batch.num_tokens * group, queries) + batch.num_rows();
}

}  // namespace

// Without shared prefixes, the sections of all rows are those of the KV memory and one more for
// each; what finds no room is not split.
AttentionPlan::AttentionPlan(Scratch& scratch, const StagedBatch& batch, int group,
                             int long_tile_queries)
    : group(group), long_tile_queries(long_tile_queries) {
  const int64_t tiles =
      std::min(most_tiles(batch, group, kTileQueries), batch.num_rows() * kShortRowTiles);
  max_slots = int64_t{batch.num_blocks} * batch.block_tokens / kKvSection + tiles;
  max_items = max_slots + tiles;
  max_merges = std::min<int64_t>(tiles, kShares);
  const int64_t longest_row = batch.num_tokens - batch.num_rows() + 1;
  max_long_tiles = longest_row * group > kShortRowTiles * kTileQueries
                       ? most_tiles(batch, group, long_tile_queries)
                       : 0;
  items = take<AttentionItem>(scratch, max_items);
  merges = take<AttentionItem>(scratch, max_merges);
  long_tiles = take<AttentionItem>(scratch, max_long_tiles);
  counts = take<AttentionCounts>(scratch, 1);
}

AttentionPlanner::AttentionPlanner(Runtime& runtime) : memory_(runtime) {}
AttentionPlanner::~AttentionPlanner() = default;

void AttentionPlanner::forget() {
  plan_ = nullptr;
}

const AttentionPlan& AttentionPlanner::plan(Stream& stream, const StagedBatch& batch, int group,
                                            int long_tile_queries) {
  const bool is_kept =
      plan_ && plan_->group == group && plan_->long_tile_queries == long_tile_queries &&
      batch_.rows.data == batch.rows.data && batch_.num_rows() == batch.num_rows() &&
      batch_.num_tokens == batch.num_tokens && batch_.num_blocks == batch.num_blocks;
  if (is_kept) return *plan_;
  memory_.begin_op();
  plan_ = std::make_unique<AttentionPlan>(memory_, batch, group, long_tile_queries);
  batch_ = batch;
  launch(stream, {1}, MakePlan{*plan_, AttentionRows(batch)});
  return *plan_;
}

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
