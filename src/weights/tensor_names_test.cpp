#include "weights/tensor_names.h"

#include <gtest/gtest.h>

namespace erne::weights {
namespace {

std::string usual(const std::string& embedding, const std::string& name) {
  const auto rule = find_name_rule({"other", embedding});
  return rule ? renamed(*rule, name).value_or("left alone") : "no rule";
}

TEST(TensorNames, usual_ones_need_no_rule) {
  for (const char* embedding : {"model.embed_tokens.weight", "ernie.embed_tokens.weight"})
    EXPECT_FALSE(find_name_rule({embedding, "lm_head.weight", "module.x"})) << embedding;
}

TEST(TensorNames, a_front_is_left_out) {
  for (const std::string front : {"module.", "_orig_mod.", "base_model.model.", "model.",
                                  "pretrained_model.", "module.module.", "base_model.model.model."})
    for (const std::string body : {"model.", "ernie."}) {
      const std::string embedding = front + body + "embed_tokens.weight";
      EXPECT_EQ(usual(embedding, embedding), body + "embed_tokens.weight") << front;
      EXPECT_EQ(usual(embedding, front + "lm_head.weight"), "lm_head.weight") << front;
      EXPECT_EQ(usual(embedding, "v_head.weight"), "left alone") << front;
    }
}

TEST(TensorNames, a_body_without_a_name_gets_one) {
  EXPECT_EQ(usual("embed_tokens.weight", "embed_tokens.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(usual("embed_tokens.weight", "layers.0.x"), "model.layers.0.x");
  EXPECT_EQ(usual("embed_tokens.weight", "lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(usual("backbone.embed_tokens.weight", "backbone.norm.weight"), "model.norm.weight");
}

TEST(TensorNames, without_one_embedding_there_is_no_rule) {
  EXPECT_FALSE(find_name_rule({}));
  EXPECT_FALSE(find_name_rule({"module.layers.0.x"}));
  EXPECT_FALSE(find_name_rule({"a.embed_tokens.weight", "b.embed_tokens.weight"}));
  EXPECT_FALSE(find_name_rule({"pos_embed_tokens.weight"}));
}

TEST(TensorNames, wrappers_of_layers_are_left_out) {
  EXPECT_EQ(without_wrappers("_orig_mod.model.layers.0._orig_mod.x"), "model.layers.0.x");
  EXPECT_EQ(without_wrappers("model.layers.0._fsdp_wrapped_module._checkpoint_wrapped_module.x"),
            "model.layers.0.x");
  EXPECT_EQ(without_wrappers("model.layers.1.mlp.gate.moe_statics.e_score_correction_bias"),
            "model.layers.1.mlp.moe_statics.e_score_correction_bias");
  EXPECT_EQ(without_wrappers("model.layers.1.mlp.gate.weight"), "model.layers.1.mlp.gate.weight");
}

}  // namespace
}  // namespace erne::weights
