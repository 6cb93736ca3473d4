#include "weights/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "weights/checkpoint_fixture.h"
#include "weights/checkpoint_source.h"
#include "weights/random_source.h"

namespace erne::weights {
namespace {

const std::vector<TensorSpec> kWrittenSpecs = {
    {"embedding", TensorKind::kTable, {33, 16}, {{"model.embed_tokens.weight", 33}}},
    {"norm", TensorKind::kVector, {16}, {{"model.norm.weight", 16}}},
    {"qkv",
     TensorKind::kLinear,
     {48, 16},
     {{"model.layers.0.self_attn.q_proj.weight", 32},
      {"model.layers.0.self_attn.k_proj.weight", 8},
      {"model.layers.0.self_attn.v_proj.weight", 8}}},
};

void nothing(size_t, size_t) {}

TEST(CheckpointWriter, WhatIsWrittenIsReadBack) {
  const TempFolder folder;
  RandomSource source(7);
  std::vector<size_t> done;
  ASSERT_TRUE(write_checkpoint(source, kWrittenSpecs, folder.path() / "model.safetensors",
                               [&](size_t n, size_t) { done.push_back(n); }));
  EXPECT_EQ(done, (std::vector<size_t>{1, 2, 3}));
  auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message;
  auto found = CheckpointSource::make(std::move(*checkpoint), kWrittenSpecs);
  ASSERT_TRUE(found.ok()) << found.status().message;
  EXPECT_TRUE(found->unused().empty());
  for (const TensorSpec& spec : kWrittenSpecs) {
    std::vector<float> drawn(spec.shape.elements()), read(spec.shape.elements());
    ASSERT_TRUE(source.read(spec, {drawn.data(), DType::kF32, spec.shape}));
    ASSERT_TRUE(found->read(spec, {read.data(), DType::kF32, spec.shape}));
    EXPECT_EQ(drawn, read) << spec.name;
  }
}

TEST(CheckpointWriter, AnExistingFileIsLeftAlone) {
  const TempFolder folder;
  folder.write("model.safetensors", "mine");
  RandomSource source(7);
  const auto result =
      write_checkpoint(source, kWrittenSpecs, folder.path() / "model.safetensors", nothing);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().param, "output");
  EXPECT_THAT(result.status().message, testing::HasSubstr("exists already"));
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "model.safetensors"), 4u);
}

class Failing final : public WeightSource {
 public:
  Result<DType> stored_dtype(const TensorSpec&) override { return DType::kBf16; }
  Result<void> read_rows(const TensorSpec&, int64_t, TensorView) override {
    return invalid("no such tensor");
  }
  std::string identity() const override { return "failing"; }
  uint64_t fingerprint() const override { return 0; }
};

TEST(CheckpointWriter, AnUnfinishedFileIsRemoved) {
  const TempFolder folder;
  Failing source;
  const auto file = folder.path() / "model.safetensors";
  const auto result = write_checkpoint(source, kWrittenSpecs, file, nothing);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message, testing::HasSubstr("no such tensor"));
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_FALSE(write_checkpoint(source, kWrittenSpecs, folder.path() / "none" / "x", nothing).ok());
}

}  // namespace
}  // namespace erne::weights
