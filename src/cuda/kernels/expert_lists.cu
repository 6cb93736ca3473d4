#include "cuda/kernels/expert_lists.h"

#include <algorithm>

namespace erne::cuda::inline ERNE_CUDA_DEVICE {
namespace {

// One block. Each warp has a stretch of the pairs: it counts its own of each expert, and enters
// them behind those of the warps before it.
struct ListPairs {
  static constexpr int kThreads = 512;
  static constexpr int kWarps = kThreads / kWarp;

  ExpertLists lists;
  int pairs, num_experts;

  // Of each expert.
  struct Totals {
    int32_t pairs, first;  // how many, and where in the list
    int32_t first_tile, end_tile;
  };

  size_t shared_bytes() const { return num_experts * (sizeof(Totals) + kWarps * sizeof(int32_t)); }
  ON_DEVICE Shared<Totals> totals() const { return shared_memory().as<Totals>(); }
  // Of each expert, this warp's: how many, then how many have come before.
  ON_DEVICE Shared<int32_t> counts(int of_warp) const {
    return (shared_memory() + num_experts * sizeof(Totals)).as<int32_t>() + of_warp * num_experts;
  }

  ON_DEVICE void run() const {
    for (int e = lane(); e < num_experts; e += kWarp) counts(warp()).set(e, 0);
    sync_warp();
    for_own_pairs([](int, int, int) {});
    sync_block();
    for (int e = thread_index(); e < num_experts; e += kThreads) add_warps(e);
    sync_block();
    if (warp() == 0) add_experts();
    sync_block();
    for_own_pairs([&](int pair, int expert, int before) {
      lists.pairs.set(totals()[expert].first + before, pair);
    });
    for (int e = warp(); e < num_experts; e += kWarps) cut(e);
    const int used = totals()[num_experts - 1].end_tile;
    for (int64_t i = used + thread_index(); i < lists.most_tiles; i += kThreads)
      lists.tiles.set(i, {-1, 0, 0, 0});
  }

  // visit(pair, its expert, counts of it so far), for each of the warp's pairs; counts them.
  template <class Visit>
  ON_DEVICE void for_own_pairs(const Visit& visit) const {
    const int stretch = (pairs + kThreads - 1) / kThreads * kWarp;
    const int end = std::min(pairs, (warp() + 1) * stretch);
    const uint32_t below = (uint32_t{1} << lane()) - 1;
    for (int begin = warp() * stretch; begin < end; begin += kWarp) {
      const int pair = begin + lane();
      const int expert = pair < end ? lists.experts[pair] : num_experts;
      const uint32_t same = same_lanes(expert);
      const int before = count_bits(same & below);
      const int counted = expert < num_experts ? counts(warp())[expert] : 0;
      if (expert < num_experts) visit(pair, expert, counted + before);
      sync_warp();
      if (expert < num_experts && before == 0)
        counts(warp()).set(expert, counted + count_bits(same));
      sync_warp();
    }
  }

  ON_DEVICE void add_warps(int expert) const {
    int32_t sum = 0;
    for (int w = 0; w < kWarps; ++w) {
      const int32_t count = counts(w)[expert];
      counts(w).set(expert, sum);
      sum += count;
    }
    totals().set(expert, {sum, 0, 0, 0});
  }

  ON_DEVICE void add_experts() const {
    int32_t first = 0, first_tile = 0;
    for (int begin = 0; begin < num_experts; begin += kWarp) {
      const int expert = begin + lane();
      const int32_t count = expert < num_experts ? totals()[expert].pairs : 0;
      const int32_t num_tiles = (count + lists.tile_pairs - 1) / lists.tile_pairs;
      const int32_t end = first + warp_running_sum(count);
      const int32_t end_tile = first_tile + warp_running_sum(num_tiles);
      if (expert < num_experts)
        totals().set(expert, {count, end - count, end_tile - num_tiles, end_tile});
      first = shuffle(end, kWarp - 1);
      first_tile = shuffle(end_tile, kWarp - 1);
    }
  }

  ON_DEVICE void cut(int expert) const {
    const Totals of = totals()[expert];
    for (int32_t i = lane(); of.first_tile + i < of.end_tile; i += kWarp)
      lists.tiles.set(of.first_tile + i,
                      {expert, of.first + i * lists.tile_pairs,
                       std::min(lists.tile_pairs, of.pairs - i * lists.tile_pairs), 0});
  }
};

}  // namespace

namespace kernels {

ExpertLists list_pairs(Stream& stream, Scratch& scratch, const DeviceView& experts,
                       int64_t num_experts, int tile_pairs) {
  const int64_t pairs = experts.elements();
  ExpertLists lists{global<int32_t>(experts), {}, {}, pairs, tile_pairs};
  if (experts.shape[0] == 1) return lists;
  lists.most_tiles = std::min(num_experts, pairs) + pairs / tile_pairs;
  lists.pairs = take<int32_t>(scratch, pairs);
  lists.tiles = take<PairTile>(scratch, lists.most_tiles);
  launch(stream, {1}, ListPairs{lists, static_cast<int>(pairs), static_cast<int>(num_experts)});
  return lists;
}

}  // namespace kernels
}  // namespace erne::cuda::inline ERNE_CUDA_DEVICE
