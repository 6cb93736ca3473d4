// How ranks share a model: each tensor of a small one is cut for two ranks and glued again, and
// what one product gives up the next one takes.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/tensor_specs.h"
#include "weights/random_source.h"
#include "weights/shard.h"

namespace erne::model {
namespace {

using weights::Rank;
using weights::Shard;
using weights::TensorSpec;

constexpr int kRanks = 2;

ErnieConfig small_config(bool experts) {
  ErnieConfig config;
  config.vocab_size = 50;
  config.hidden_size = 24;
  config.num_layers = 3;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.intermediate_size = 20;
  if (experts)
    config.moe = {.num_experts = 3,
                  .top_k = 2,
                  .intermediate_size = 12,
                  .num_shared_experts = 1,
                  .layers = {false, true, true}};
  return config;
}

std::vector<TensorSpec> small_specs(bool experts) {
  const Calibration calibration = {.input_scales = experts, .kv_scales = true};
  return text_tensor_specs(small_config(experts), {.tied = false, .calibration = calibration});
}

// A tensor's columns; a vector has one.
int64_t width(const TensorSpec& spec) {
  return spec.shape.rank() == 2 ? spec.shape[1] : 1;
}

std::vector<float> read(weights::WeightSource& source, const TensorSpec& spec) {
  std::vector<float> values(spec.shape.elements());
  EXPECT_TRUE(source.read(spec, {values.data(), DType::kF32, spec.shape}));
  return values;
}

// Puts the ranks' parts beside each other (columns) or, part by part, below each other.
std::vector<float> glued(const TensorSpec& whole, const std::vector<TensorSpec>& shares,
                         const std::vector<std::vector<float>>& values) {
  if (whole.shard.kind == Shard::kWhole) return values[0];
  std::vector<float> out;
  const auto append = [&](int rank, int64_t first, int64_t count) {
    const auto begin = values[rank].begin() + first;
    out.insert(out.end(), begin, begin + count);
  };
  if (whole.shard.kind == Shard::kColumns) {
    for (int64_t row = 0; row < whole.shape[0]; ++row)
      for (int rank = 0; rank < kRanks; ++rank)
        append(rank, row * width(shares[rank]), width(shares[rank]));
    return out;
  }
  int64_t first = 0;
  for (size_t part = 0; part < whole.parts.size(); ++part) {
    const int64_t count = shares[0].parts[part].rows * width(whole);
    for (int rank = 0; rank < kRanks; ++rank) append(rank, first, count);
    first += count;
  }
  return out;
}

TEST(TensorShares, EveryTensorCutForTwoRanksAndGluedIsWhole) {
  for (const bool experts : {false, true}) {
    const std::vector<TensorSpec> specs = small_specs(experts);
    weights::RandomSource source(1);
    std::vector<std::vector<TensorSpec>> shares;
    for (int index = 0; index < kRanks; ++index)
      shares.push_back(weights::share_of(specs, {index, kRanks}).value());
    for (size_t i = 0; i < specs.size(); ++i) {
      std::vector<TensorSpec> of_ranks;
      std::vector<std::vector<float>> values;
      for (int index = 0; index < kRanks; ++index) {
        weights::ShardedSource sharded(source, specs, {index, kRanks});
        of_ranks.push_back(shares[index][i]);
        values.push_back(read(sharded, of_ranks.back()));
      }
      EXPECT_EQ(glued(specs[i], of_ranks, values), read(source, specs[i])) << specs[i].name;
    }
  }
}

TEST(TensorShares, OneRankHasAllOfEverything) {
  const std::vector<TensorSpec> specs = small_specs(true);
  const auto shares = weights::share_of(specs, {0, 1}).value();
  for (size_t i = 0; i < specs.size(); ++i) EXPECT_EQ(shares[i].shape, specs[i].shape);
}

// The outputs of which a rank has a part are the inputs of which it has that part.
TEST(TensorShares, WhatAProductGivesUpTheNextOneTakes) {
  const ErnieConfig c = small_config(true);
  const auto shares = weights::share_of(small_specs(true), {1, kRanks}).value();
  const auto find = [&](const std::string& name) {
    for (const TensorSpec& spec : shares)
      if (spec.name == name) return spec;
    ADD_FAILURE() << name;
    return shares[0];
  };
  EXPECT_EQ(find("layers.0.qkv").shape, (Shape{c.qkv_width() / 2, c.hidden_size}));
  EXPECT_EQ(find("layers.0.keys").shape, Shape{c.kv_width() / 2});
  EXPECT_EQ(find("layers.0.output").shape, (Shape{c.hidden_size, c.q_width() / 2}));
  for (const char* ffn : {"layers.0.", "layers.1.shared.", "layers.1.experts.2."})
    EXPECT_EQ(find(std::string(ffn) + "gate_up").shape[0],
              2 * find(std::string(ffn) + "down").shape[1])
        << ffn;
  EXPECT_EQ(find("head").shape, (Shape{c.vocab_size / 2, c.hidden_size}));
  EXPECT_EQ(find("embedding").shape, (Shape{c.vocab_size, c.hidden_size}));
  EXPECT_EQ(find("layers.1.router").shape, (Shape{3, c.hidden_size}));
}

TEST(TensorShares, HeadsStayWhole) {
  ErnieConfig config = small_config(false);
  config.num_kv_heads = 1;  // which two ranks cannot share
  const auto refused = weights::share_of(text_tensor_specs(config, {}), {0, kRanks});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().param, "layers.0.qkv");
}

// Members of a stack lie together, so they must follow each other in the list.
TEST(TensorShares, MembersOfAStackFollowEachOther) {
  const TensorSpec* last = nullptr;
  const std::vector<TensorSpec> specs = small_specs(true);
  for (const TensorSpec& spec : specs) {
    if (spec.member.index > 0) {
      ASSERT_NE(last, nullptr);
      EXPECT_EQ(last->member.stack, spec.member.stack);
      EXPECT_EQ(last->member.index + 1, spec.member.index);
      EXPECT_EQ(last->shape, spec.shape);
    }
    last = &spec;
  }
}

}  // namespace
}  // namespace erne::model
