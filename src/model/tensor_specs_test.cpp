#include "model/tensor_specs.h"

#include <gtest/gtest.h>

#include <set>

#include "model/config_file.h"
#include "model/registry.h"
#include "model/rotary.h"
#include "weights/checkpoint_source.h"

namespace erne::model {
namespace {

ErnieConfig released_config() {  // of the 0.3B model
  ErnieConfig config;
  config.vocab_size = 103424;
  config.hidden_size = 1024;
  config.num_layers = 18;
  config.num_heads = 16;
  config.num_kv_heads = 2;
  config.head_dim = 128;
  config.intermediate_size = 3072;
  return config;
}

ErnieConfig config_21b() {
  ErnieConfig config = released_config();
  config.hidden_size = 2560;
  config.num_layers = 28;
  config.num_heads = 20;
  config.num_kv_heads = 4;
  config.intermediate_size = 12288;
  config.moe = {.num_experts = 64,
                .top_k = 6,
                .intermediate_size = 1536,
                .num_shared_experts = 2,
                .layers = std::vector<bool>(28, true)};
  config.moe.layers[0] = false;
  return config;
}

int64_t num_parameters(const ErnieConfig& config, bool tied = true) {
  int64_t total = 0;
  for (const auto& spec : text_tensor_specs(config, {.tied = tied})) total += spec.shape.elements();
  return total;
}

TEST(TensorSpecs, count_the_parameters_of_the_released_model) {
  const ErnieConfig config = released_config();
  EXPECT_EQ(num_parameters(config), 360'748'032);
  EXPECT_EQ(num_parameters(config, false), 360'748'032 + 103424 * 1024);
}

// The totals are those of docs/ernie-models.md, 10.1, which leave out the correction biases.
TEST(TensorSpecs, count_the_parameters_of_released_mixtures) {
  EXPECT_EQ(num_parameters(config_21b()), 21'825'436'160 + 27 * 64);
  ErnieConfig config = config_21b();  // of 300B-A47B
  config.hidden_size = 8192;
  config.num_layers = 54;
  config.num_heads = 64;
  config.num_kv_heads = 8;
  config.intermediate_size = 28672;
  config.moe.intermediate_size = 3584;
  config.moe.num_shared_experts = 0;
  config.moe.layers.assign(54, true);
  for (int i = 0; i < 3; ++i) config.moe.layers[i] = false;
  EXPECT_EQ(num_parameters(config, false), 299'484'160'000 + 51 * 64);
}

TEST(TensorSpecs, names_are_single_and_parts_fill_their_tensor) {
  for (const ErnieConfig& config : {released_config(), config_21b()}) {
    std::set<std::string> names, sources;
    for (const auto& spec : text_tensor_specs(config, {})) {
      EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
      int64_t rows = 0;
      for (const auto& part : spec.parts) {
        EXPECT_TRUE(sources.insert(part.source).second) << part.source;
        rows += part.rows;
      }
      EXPECT_EQ(rows, spec.shape[0]) << spec.name;
    }
  }
}

TEST(TensorSpecs, name_every_tensor_of_every_layout) {
  const std::filesystem::path goldens = std::filesystem::path(ERNE_SOURCE_DIR) / "tests/goldens";
  for (const char* folder :
       {"dense/tied/pt", "dense/tied/pt_sharded", "dense/tied/paddle", "dense/untied/pt",
        "dense/untied/paddle", "moe/e8/pt", "moe/e8/paddle", "moe/e64/pt", "moe/e64/paddle"}) {
    const auto config = read_config(goldens / folder);
    ASSERT_TRUE(config) << config.status().message;
    auto checkpoint = weights::Checkpoint::open(goldens / folder);
    ASSERT_TRUE(checkpoint) << checkpoint.status().message;
    const CheckpointFacts facts = find_facts(*config, *checkpoint).value();
    const auto source = weights::CheckpointSource::make(std::move(checkpoint).value(),
                                                        text_tensor_specs(*config, facts));
    ASSERT_TRUE(source) << source.status().message;
    for (const std::string& name : source->unused())
      EXPECT_TRUE(is_known_unused(facts, name)) << folder << ": " << name;
  }
}

TEST(TensorSpecs, know_what_is_left_over_on_purpose) {
  const CheckpointFacts tied{.tied = true}, untied{.tied = false};
  EXPECT_TRUE(is_known_unused(tied, "lm_head.weight"));
  EXPECT_TRUE(is_known_unused(tied, "model.mtp_block.0.mlp.up_proj.weight"));
  EXPECT_TRUE(is_known_unused(tied, "ernie.mtp_linear_proj.0.weight"));
  EXPECT_FALSE(is_known_unused(tied, "model.layers.18.mlp.up_proj.weight"));
  EXPECT_FALSE(is_known_unused(untied, "lm_head.weight"));
}

TEST(Rotary, frequencies_fall_from_one) {
  const std::vector<float> freq = rotary_frequencies(128, 500000.0);
  ASSERT_EQ(freq.size(), 64u);
  EXPECT_EQ(freq[0], 1.0f);
  EXPECT_EQ(freq[1], 0.8146172338565447f);
  EXPECT_NEAR(freq[63], 2.4551408e-6f, 1e-13);
}

TEST(Registry, knows_both_spellings) {
  for (const char* name : {"Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"}) {
    const auto found = find_architecture(name);
    ASSERT_TRUE(found);
    EXPECT_STREQ((*found)->name, name);
  }
  EXPECT_EQ(find_architecture("LlamaForCausalLM").status().code, Code::kInvalid);
  EXPECT_EQ(find_architecture("Ernie4_5_VLMoeForConditionalGeneration").status().code,
            Code::kUnsupported);
}

}  // namespace
}  // namespace erne::model
