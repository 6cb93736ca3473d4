// Who computes what of an attention of bfloat16 queries. A tile is some neighbouring queries of a
// row: with `group` heads of queries for each of keys, query i of a row is head i mod group of its
// token i / group. Short rows, which decode, are cut into tiles of 16; a tile with many sections of
// keys is split into items of one section each, whose sums are merged afterwards. Long rows are cut
// into tiles of a block of warps each.
//
// How rows are cut never shows in a result. The lists are made on the device, since what is in them
// changes from step to step, and a graph that repeats steps must hold all of them: how long they
// may become depends on shapes alone.
#pragma once

#include "cuda/kernels/attention_rows.h"
#include "cuda/runtime/scratch.h"

namespace erne::cuda::inline ERNE_CUDA_DEVICE {

constexpr int kTileQueries = 16;  // of a warp
constexpr int kShortRowTiles = 4;

struct AttentionItem {
  int32_t row, first_query;
  int32_t first_section, end_section;
  int32_t slot;  // of its first section's sums, where the tile is split; -1: it is not
};

struct AttentionCounts {
  int32_t items, merges, long_tiles, slots;
};

struct AttentionPlan {
  Global<AttentionItem> items;   // of short rows
  Global<AttentionItem> merges;  // their tiles that are split
  Global<AttentionItem> long_tiles;
  Global<AttentionCounts> counts;
  // How much each list has room for.
  int64_t max_items, max_merges, max_long_tiles, max_slots;
  int group, long_tile_queries;

  AttentionPlan(Scratch& scratch, const StagedBatch& batch, int group, int long_tile_queries);
};

}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
