// Lists of pairs by expert, as the device makes them: ascending, in tiles, and no more of those
// than the shapes say.
#define ERNE_CUDA_EMULATED
#include "cuda/kernels/expert_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/counter_rng.h"
#include "cuda/runtime/launch.h"

namespace erne::cuda::inline emulated {
namespace {

// The lists as kernels read them.
struct ReadLists {
  static constexpr int kThreads = kWarp;

  ExpertLists lists;
  int64_t num_pairs;
  Global<PairTile> tiles;
  Global<int32_t> pairs;

  size_t shared_bytes() const { return 0; }
  void run() const {
    for (int64_t i = thread_index(); i < lists.most_tiles; i += kThreads)
      tiles.set(i, lists.tile(i));
    for (int64_t i = thread_index(); i < num_pairs; i += kThreads) pairs.set(i, lists.pair(i));
  }
};

class Lists : public testing::Test {
 protected:
  // What is listed of each expert, in the order of the tiles.
  std::vector<std::vector<int32_t>> list(const std::vector<int32_t>& experts, int64_t tokens,
                                         int num_experts, int tile_pairs) {
    const auto pairs = std::ssize(experts);
    int32_t* const memory = static_cast<int32_t*>(runtime_->allocate(pairs * sizeof(int32_t)));
    std::ranges::copy(experts, memory);
    const ExpertLists lists =
        kernels::list_pairs(runtime_->stream(), scratch_,
                            {DeviceAccess::address(memory), DType::kI32, {tokens, pairs / tokens}},
                            num_experts, tile_pairs);
    auto* const tiles =
        static_cast<PairTile*>(runtime_->allocate(lists.most_tiles * sizeof(PairTile)));
    auto* const listed_pairs = static_cast<int32_t*>(runtime_->allocate(pairs * sizeof(int32_t)));
    launch(runtime_->stream(), {1},
           ReadLists{lists, pairs, Global<PairTile>(tiles), Global<int32_t>(listed_pairs)});
    runtime_->finish();
    EXPECT_LE(lists.most_tiles, std::min<int64_t>(num_experts, pairs) + pairs / tile_pairs);
    std::vector<std::vector<int32_t>> listed(num_experts);
    for (int64_t t = 0; t < lists.most_tiles; ++t) {
      const PairTile& tile = tiles[t];
      EXPECT_LE(tile.count, tile_pairs);
      for (int i = 0; i < tile.count; ++i)
        listed[tile.expert].push_back(listed_pairs[tile.first + i]);
    }
    for (void* const taken :
         {static_cast<void*>(memory), static_cast<void*>(tiles), static_cast<void*>(listed_pairs)})
      runtime_->free(taken);
    return listed;
  }

  const std::unique_ptr<Runtime> runtime_ = Runtime::open(0).value();
  Scratch scratch_{*runtime_};
};

TEST_F(Lists, HoldEachPairOfAnExpertOnceAndAscending) {
  const CounterRng rng(7, 0);
  for (const auto& [tokens, chosen, num_experts] :
       {std::array{1, 6, 64}, {2, 3, 5}, {77, 8, 64}, {301, 2, 3}, {40, 7, 1000}, {600, 1, 1}})
    for (const int tile_pairs : {8, 64}) {
      std::vector<int32_t> experts;
      std::vector<std::vector<int32_t>> expected(num_experts);
      for (int t = 0; t < tokens; ++t) {
        // Neighbours from a random place on, so that none comes twice.
        const auto first = static_cast<int>(rng.words(t)[0] % num_experts);
        for (int j = 0; j < chosen; ++j) {
          const int expert = (first + j) % num_experts;
          expected[expert].push_back(static_cast<int32_t>(experts.size()));
          experts.push_back(expert);
        }
      }
      EXPECT_EQ(list(experts, tokens, num_experts, tile_pairs), expected)
          << tokens << " tokens, " << num_experts << " experts, tiles of " << tile_pairs;
    }
}

// The most tiles that there can be: all experts have one pair more than a tile holds.
TEST_F(Lists, HaveRoomForTilesOfOnePair) {
  std::vector<int32_t> experts;
  for (int t = 0; t < 9; ++t)
    for (int e = 0; e < 4; ++e) experts.push_back(e);
  for (const auto& pairs : list(experts, 9, 4, 8)) EXPECT_EQ(std::ssize(pairs), 9);
}

}  // namespace
}  // namespace erne::cuda::inline emulated
