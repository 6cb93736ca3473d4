// load_model as a whole: what a folder must hold, and what decides where it says nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "cpu/cpu_backend.h"
#include "golden.h"
#include "model/load_model.h"
#include "model_run.h"
#include "weights/checkpoint_fixture.h"
#include "weights/packed_checkpoint.h"

namespace erne::tests {
namespace {

using testing::HasSubstr;

const std::vector<int32_t> kTokens = {1, 2, 3};

Json config_of(const char* checkpoint) {
  std::ostringstream text;
  text << std::ifstream(dense_goldens() / checkpoint / "config.json").rdbuf();
  return Json::parse(text.str()).value();
}

class LoadModel : public testing::Test {
 protected:
  Result<std::unique_ptr<model::Model>> load(std::optional<uint64_t> seed = {}) {
    return model::load_model(*backend_, folder_.path(),
                             {.activation = DType::kF32, .random_seed = seed});
  }
  std::vector<float> logits(const model::Model& model) {
    return ModelRun(*backend_, model).run_alone(kTokens, 0);
  }
  void link_weights(const char* checkpoint) {
    std::filesystem::create_symlink(dense_goldens() / checkpoint / "model.safetensors",
                                    folder_.path() / "model.safetensors");
  }

  std::unique_ptr<Backend> backend_ = cpu::make_cpu_backend(cpu::CpuIsa::kReference, 1);
  TempFolder folder_;
};

TEST_F(LoadModel, a_checkpoint_with_a_head_is_untied_unless_the_config_says_otherwise) {
  link_weights("untied/pt");
  Json config = config_of("untied/pt");
  folder_.write("config.json", config.dump());
  const auto stated = load().value();
  std::erase_if(config.as_object(),
                [](const auto& member) { return member.first == "tie_word_embeddings"; });
  folder_.write("config.json", config.dump());
  const auto unstated = load().value();
  EXPECT_FALSE(model::OpenedModel::open(folder_.path(), {})->facts().tied);
  EXPECT_EQ(logits(*unstated), logits(*stated));

  config.set("tie_word_embeddings", true);
  folder_.write("config.json", config.dump());
  EXPECT_NE(logits(*load().value()), logits(*stated));
}

TEST_F(LoadModel, random_weights_need_a_config_alone) {
  folder_.write("config.json", config_of("tied/pt").dump());
  EXPECT_EQ(load().status().code, Code::kNotFound);  // no weights
  const auto first = load(7), again = load(7), other = load(8);
  ASSERT_TRUE(first) << first.status().message;
  const std::vector<float> drawn = logits(**first);
  for (const float logit : drawn) ASSERT_TRUE(std::isfinite(logit));
  EXPECT_EQ(logits(**again), drawn);
  EXPECT_NE(logits(**other), drawn);
}

TEST_F(LoadModel, weights_of_another_shape_are_refused_by_name) {
  link_weights("tied/pt");
  Json config = config_of("tied/pt");
  config.set("intermediate_size", 176);
  folder_.write("config.json", config.dump());
  const auto model = load();
  ASSERT_FALSE(model);
  EXPECT_EQ(model.status().param, "model.layers.0.mlp.gate_proj.weight");
  EXPECT_THAT(model.status().message, HasSubstr("found [160, 96], expected [176, 96]"));
}

TEST_F(LoadModel, hf_own_keys_give_the_same_mixtures) {
  for (const char* name : {"e8", "e64"}) {
    const auto golden = std::ranges::find(golden_checkpoints(), name, &GoldenCheckpoint::name);
    const TempFolder hf;
    std::filesystem::copy(golden->folder / "pt/config.hf.json", hf.path() / "config.json");
    std::filesystem::create_symlink(golden->folder / "pt/model.safetensors",
                                    hf.path() / "model.safetensors");
    const model::ModelOptions options{.activation = DType::kF32};
    const auto theirs = model::load_model(*backend_, hf.path(), options);
    ASSERT_TRUE(theirs) << theirs.status().message;
    const auto baidus = model::load_model(*backend_, golden->folder / "pt", options).value();
    EXPECT_EQ(logits(**theirs), logits(*baidus)) << name;
  }
}

TEST_F(LoadModel, a_packed_checkpoint_gives_what_quantising_on_the_way_gives) {
  for (const GoldenCheckpoint& golden : golden_checkpoints())
    for (const QuantizationScheme& scheme : quantization_schemes()) {
      const TempFolder packed;
      model::ModelOptions options{.activation = DType::kF32, .quantization = &scheme};
      const auto opened = model::OpenedModel::open(golden.folder / "paddle", options);
      ASSERT_TRUE(opened) << opened.status().message;
      EXPECT_EQ(opened->facts().tied, golden.name == "tied" || golden.name == "e8");
      const auto written =
          opened->pack(*backend_, {}, packed.path() / weights::kPackedCheckpointFile);
      ASSERT_TRUE(written) << written.status().message;
      std::ostringstream text;
      text << std::ifstream(golden.folder / "paddle/config.json").rdbuf();
      Json config = Json::parse(text.str()).value();
      config.set("quantization_config",
                 Json::Object{{"quant_method", "erne"}, {"quantization", scheme.name}});
      packed.write("config.json", config.dump());
      const auto on_the_way = model::load_model(*backend_, golden.folder / "pt", options).value();
      const auto again = model::load_model(*backend_, packed.path(), {.activation = DType::kF32});
      ASSERT_TRUE(again) << again.status().message;
      EXPECT_EQ(logits(**again), logits(*on_the_way)) << golden.name << " " << scheme.name;

      options.quantization =
          find_quantization(std::string_view(scheme.name) == "wint8" ? "wint4" : "wint8");
      const auto other = model::load_model(*backend_, packed.path(), options);
      ASSERT_FALSE(other);
      EXPECT_THAT(other.status().message, HasSubstr("quantised already"));
      const auto narrow = model::load_model(*backend_, packed.path(), {});
      ASSERT_FALSE(narrow) << "made for float32 activations";
      EXPECT_THAT(narrow.status().message, HasSubstr("make it again with erne quantize"));
    }
}

TEST_F(LoadModel, a_head_dim_that_the_back_end_cannot_work_on_is_refused) {
  Json config = config_of("tied/pt");
  const int step = backend_->limits().head_dim_multiple;
  for (const int head_dim : {step - 2, step + 2, 120}) {
    config.set("head_dim", head_dim);
    folder_.write("config.json", config.dump());
    const auto model = load(7);
    ASSERT_FALSE(model) << head_dim;
    EXPECT_EQ(model.status().param, "head_dim");
    EXPECT_THAT(model.status().message, HasSubstr("needs a multiple of 16"));
  }
}

TEST_F(LoadModel, models_for_pictures_are_not_built_yet) {
  folder_.write("config.json", R"({"architectures":["Ernie4_5_VLMoeForConditionalGeneration"]})");
  const auto model = load();
  ASSERT_FALSE(model);
  EXPECT_EQ(model.status().code, Code::kUnsupported);
  EXPECT_THAT(model.status().message, HasSubstr("not built yet"));
}

}  // namespace
}  // namespace erne::tests
