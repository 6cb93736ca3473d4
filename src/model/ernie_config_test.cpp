#include "model/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace erne::model {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Json released_json() {  // of the 0.3B model
  return Json::parse(R"({"architectures":["Ernie4_5ForCausalLM"],"model_type":"ernie4_5",
      "bos_token_id":1,"eos_token_id":2,"pad_token_id":0,"hidden_act":"silu","hidden_size":1024,
      "intermediate_size":3072,"max_position_embeddings":131072,"num_attention_heads":16,
      "num_hidden_layers":18,"num_key_value_heads":2,"head_dim":128,"rms_norm_eps":1e-05,
      "rope_theta":500000.0,"rope_scaling":null,"tie_word_embeddings":true,
      "torch_dtype":"bfloat16","use_bias":false,"use_cache":false,"vocab_size":103424})")
      .value();
}

Json without(const char* key) {
  Json json = released_json();
  std::erase_if(json.as_object(), [&](const auto& member) { return member.first == key; });
  return json;
}

Status refusal(const Json& json) {
  const auto config = parse_config(json.dump());
  return config ? Status{Code::kInternal, "accepted"} : config.status();
}

TEST(ErnieConfig, reads_the_released_file) {
  const auto config = parse_config(released_json().dump());
  ASSERT_TRUE(config) << config.status().message;
  EXPECT_EQ(config->vocab_size, 103424);
  EXPECT_EQ(config->hidden_size, 1024);
  EXPECT_EQ(config->num_layers, 18);
  EXPECT_EQ(config->q_width(), 2048);  // not the hidden size
  EXPECT_EQ(config->kv_width(), 256);
  EXPECT_EQ(config->qkv_width(), 2560);
  EXPECT_EQ(config->intermediate_size, 3072);
  EXPECT_EQ(config->max_position_embeddings, 131072);
  EXPECT_EQ(config->rms_norm_eps, 1e-5f);
  EXPECT_EQ(config->rope_theta, 500000.0);
  EXPECT_EQ(config->tie_word_embeddings, true);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
}

TEST(ErnieConfig, reads_hf_own_keys) {
  Json json = without("rope_theta");
  json.set("rope_parameters", Json::Object{{"rope_theta", 10000.0}, {"rope_type", "default"}});
  json.set("eos_token_id", Json::Array{Json(2), Json(7)});
  const auto config = parse_config(json.dump());
  ASSERT_TRUE(config) << config.status().message;
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2, 7));
}

TEST(ErnieConfig, defaults_what_files_leave_out) {
  for (const char* key : {"rms_norm_eps", "rope_theta", "max_position_embeddings", "bos_token_id",
                          "eos_token_id", "use_bias", "hidden_act", "architectures"}) {
    const auto config = parse_config(without(key).dump());
    ASSERT_TRUE(config) << key << ": " << config.status().message;
    EXPECT_EQ(config->architecture, "Ernie4_5ForCausalLM");
    EXPECT_EQ(config->rms_norm_eps, 1e-5f);
    EXPECT_EQ(config->rope_theta, 500000.0);
    EXPECT_EQ(config->max_position_embeddings, 131072);
    EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  }
  EXPECT_EQ(parse_config(without("head_dim").dump())->head_dim, 64);  // hidden / heads
  EXPECT_EQ(parse_config(without("num_key_value_heads").dump())->num_kv_heads, 16);
  EXPECT_EQ(parse_config(without("tie_word_embeddings").dump())->tie_word_embeddings, std::nullopt);
}

TEST(ErnieConfig, what_cannot_be_guessed_is_required) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "intermediate_size"}) {
    const Status status = refusal(without(key));
    EXPECT_EQ(status.param, key);
    EXPECT_THAT(status.message, HasSubstr(std::string(key) + ": found nothing, expected"));
  }
}

TEST(ErnieConfig, hostile_values_are_refused_by_field) {
  const std::pair<const char*, std::vector<const char*>> cases[] = {
      {"vocab_size", {"0", "-1", "4194305", "1e9", "\"many\"", "9223372036854775808", "[1]"}},
      {"hidden_size", {"0", "-1024", "65537", "1024.5", "true"}},
      {"num_hidden_layers", {"0", "-1", "1025", "{}"}},
      {"num_attention_heads", {"0", "-16", "1025"}},
      {"num_key_value_heads", {"0", "-2", "3", "17", "32"}},
      {"head_dim", {"0", "1", "-128", "127", "1040"}},
      {"intermediate_size", {"0", "-1", "1048577"}},
      {"max_position_embeddings", {"0", "-1", "16777217"}},
      {"rms_norm_eps", {"0", "-1e-5", "1e-85", "1", "\"small\""}},
      {"rope_theta", {"0", "-1", "1", "1e13", "[]"}},
      {"tie_word_embeddings", {"1", "\"yes\""}},
      {"eos_token_id", {"\"</s>\"", "2.5", "{}"}},
      {"hidden_act", {"\"gelu\"", "1"}},
      {"use_bias", {"true", "1"}},
      {"rope_3d", {"true"}},
      {"compression_ratio", {"2.0"}},
      {"quantization_config",
       {"1", "{\"x\":1}", "{\"quantization\":\"wint3\"}", "{\"quant_method\":\"gptq\"}",
        "{\"quantization\":\"wint8\",\"is_permuted\":true}",
        "{\"quantization\":\"mix_quant\",\"dense_quant_type\":\"wint4\"}"}},
      {"rope_parameters", {"[]"}},
      {"architectures", {"[]", "\"Ernie4_5ForCausalLM\"", "[\"LlamaForCausalLM\"]", "[1]"}},
  };
  for (const auto& [key, values] : cases)
    for (const char* value : values) {
      Json json = released_json();
      json.set(key, Json::parse(value).value());
      const Status status = refusal(json);
      EXPECT_EQ(status.param, key) << value << ": " << status.message;
      EXPECT_THAT(status.message, HasSubstr(key)) << value;
    }
}

TEST(ErnieConfig, scaled_angles_are_refused_and_a_scale_of_one_is_none) {
  for (const std::string key : {"rope_scaling", "rope_parameters"}) {
    const std::pair<const char*, const char*> scaled[] = {
        {R"({"rope_type":"yarn"})", ".rope_type"},
        {R"({"type":"dynamic","factor":1.0})", ".type"},
        {R"({"type":"linear","factor":2.0})", ".type"},
        {R"({"rope_type":"linear"})", ".rope_type"},
        {R"({"factor":8})", ".factor"},
        {R"({"partial_rotary_factor":0.5})", ".partial_rotary_factor"}};
    for (const auto& [value, field] : scaled) {
      Json json = released_json();
      json.set(key, Json::parse(value).value());
      EXPECT_EQ(refusal(json).param, key + field) << value;
    }
    for (const char* value :
         {"null", "{}", R"({"type":"linear","factor":1.0})", R"({"rope_type":"linear","factor":1})",
          R"({"rope_type":"default"})", R"({"type":null,"factor":null})", R"({"factor":1.0})",
          R"({"rope_type":"default","rope_theta":500000.0,"partial_rotary_factor":1.0})"}) {
      Json json = released_json();
      json.set(key, Json::parse(value).value());
      EXPECT_TRUE(parse_config(json.dump())) << key << value << refusal(json).message;
    }
  }
}

TEST(ErnieConfig, what_means_none_in_other_tools_means_none) {
  const std::pair<const char*, const char*> members[] = {
      {"bos_token_id", "-1"},
      {"bos_token_id", "null"},
      {"bos_token_id", "\"<s>\""},
      {"quantization_config", "{}"},
      {"quantization_config", "null"},
      {"quantization_config", R"({"quant_method":null})"},
      {"num_key_value_heads", "null"},
      {"head_dim", "null"},
      {"tie_word_embeddings", "null"},
      {"torch_dtype", "\"float16\""},
      {"dtype", "\"float32\""},
      {"torch_dtype", "null"},
      {"sliding_window", "null"},
      {"moe_num_experts", "0"},
      {"hidden_size", "1024.0"},
      {"pad_token_id", "-1"},
      {"use_cache", "\"no\""},
      {"unsloth_version", "\"2026.1\""},
      {"auto_map", R"({"AutoConfig":"x.Y"})"}};
  for (const auto& [key, value] : members) {
    Json json = released_json();
    json.set(key, Json::parse(value).value());
    const auto config = parse_config(json.dump());
    ASSERT_TRUE(config) << key << " " << value << ": " << config.status().message;
    EXPECT_EQ(config->quantization.scheme, nullptr);
    EXPECT_EQ(config->hidden_size, 1024);
  }
}

TEST(ErnieConfig, ends_outside_the_vocabulary_count_as_none) {
  const std::pair<const char*, std::vector<int32_t>> cases[] = {
      {"-1", {2}},         {"103424", {2}}, {"[2,-1]", {2}},
      {"[103424,7]", {7}}, {"null", {2}},   {"[]", {2}}};
  for (const auto& [value, expected] : cases) {
    Json json = released_json();
    json.set("eos_token_id", Json::parse(value).value());
    const auto config = parse_config(json.dump());
    ASSERT_TRUE(config) << value << ": " << config.status().message;
    EXPECT_EQ(config->eos_token_ids, expected) << value;
  }
}

TEST(ErnieConfig, a_trainers_wrapper_is_named_with_what_it_wraps) {
  for (const char* name : {"FSDPErnie4_5ForCausalLM", "Ernie4_5ForCausalLMWithValueHead",
                           "Ernie4_5Model", "PeftErnie4_5ForCausalLM"}) {
    Json json = released_json();
    json.set("architectures", Json::Array{Json(name)});
    const Status status = refusal(json);
    EXPECT_EQ(status.param, "architectures");
    EXPECT_THAT(status.message, AllOf(HasSubstr(name), HasSubstr("[\"Ernie4_5ForCausalLM\"]")));
  }
}

TEST(ErnieConfig, reads_what_a_checkpoint_is_quantised_to) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"quant_method":"erne","quantization":"wint2"})", "wint2"},
      {R"({"quantization":"wint4","is_quantized":true})", "wint4"},
      {R"({"quant_method":"fp8","weight_block_size":[128,128],"activation_scheme":"dynamic"})",
       "block_wise_fp8"},
      {R"({"quantization":"mix_quant","dense_quant_type":"wint8","moe_quant_type":"w4a8",
           "kv_cache_quant_type":"int8","hadamard_block_size":128})",
       "w4a8c8"},
      {R"({"quantization":"mix_quant","dense_quant_type":"wint8","moe_quant_type":"wint2"})",
       "wint2"},
      {R"({"quantization":"mix_quant","dense_quant_type":"wint8","moe_quant_type":"wint4"})",
       "wint4"}};
  for (const auto& [text, name] : cases) {
    Json json = released_json();
    json.set("quantization_config", Json::parse(text).value());
    const auto config = parse_config(json.dump());
    ASSERT_TRUE(config) << config.status().message;
    EXPECT_STREQ(config->quantization.scheme->name, name) << text;
    EXPECT_EQ(config->quantization.is_packed,
              std::string_view(text).find("erne") != std::string_view::npos);
  }
  const std::pair<const char*, const char*> refused[] = {
      {R"({"quant_method":"fp8","weight_block_size":[64,64]})", "weight_block_size"},
      {R"({"quantization":"w4a8","hadamard_block_size":96})", "hadamard_block_size"}};
  for (const auto& [text, field] : refused) {
    Json json = released_json();
    json.set("quantization_config", Json::parse(text).value());
    EXPECT_EQ(refusal(json).param, std::string("quantization_config.") + field);
  }
}

TEST(ErnieConfig, a_head_dim_that_does_not_come_out_even_is_asked_for) {
  Json json = without("head_dim");
  json.set("hidden_size", 1000);
  EXPECT_THAT(refusal(json).message,
              AllOf(HasSubstr("head_dim"), HasSubstr("1000"), HasSubstr("16")));
  json.set("hidden_size", 16 * 7);
  EXPECT_EQ(refusal(json).param, "head_dim");
  json.set("hidden_size", 8);
  EXPECT_EQ(refusal(json).param, "head_dim");
}

TEST(ErnieConfig, other_models_of_the_family_are_not_built_yet) {
  const char* name = "Ernie4_5_VLMoeForConditionalGeneration";
  const Json json(Json::Object{{"architectures", Json::Array{Json(name)}}});
  const Status status = refusal(json);
  EXPECT_EQ(status.code, Code::kUnsupported);
  EXPECT_THAT(status.message, AllOf(HasSubstr(name), HasSubstr("not built yet")));
}

Json moe_config() {  // the 21B-A3B model's
  Json json = released_json();
  const std::pair<const char*, const char*> members[] = {
      {"architectures", R"(["Ernie4_5_MoeForCausalLM"])"},
      {"hidden_size", "2560"},
      {"num_hidden_layers", "28"},
      {"num_attention_heads", "20"},
      {"num_key_value_heads", "4"},
      {"intermediate_size", "12288"},
      {"moe_num_experts", "64"},
      {"moe_k", "6"},
      {"moe_intermediate_size", "1536"},
      {"moe_num_shared_experts", "2"},
      {"moe_layer_start_index", "1"},
      {"moe_layer_interval", "1"},
      {"moe_use_aux_free", "true"},
      {"moe_capacity", "[64,64,64]"},
      {"moe_gate", R"("topk")"}};
  for (const auto& [key, value] : members) json.set(key, Json::parse(value).value());
  return json;
}

// As a string of d and m, a letter for each layer.
std::string kinds_of_layers(const Json& json) {
  const auto config = parse_config(json.dump());
  if (!config) return config.status().message;
  std::string kinds;
  for (int i = 0; i < config->num_layers; ++i) kinds += config->is_moe_layer(i) ? 'm' : 'd';
  return kinds;
}

TEST(ErnieConfig, reads_a_mixture) {
  const auto config = parse_config(moe_config().dump());
  ASSERT_TRUE(config) << config.status().message;
  EXPECT_EQ(config->moe.num_experts, 64);
  EXPECT_EQ(config->moe.top_k, 6);
  EXPECT_EQ(config->moe.intermediate_size, 1536);
  EXPECT_EQ(config->moe.shared_width(), 3072);
  EXPECT_TRUE(config->moe.has_correction_bias);
  EXPECT_EQ(config->moe.norm_min, 1e-12f);
  EXPECT_FALSE(parse_config(released_json().dump())->has_experts());
}

TEST(ErnieConfig, layers_are_mixtures_between_two_indices_and_every_so_often) {
  Json json = moe_config();
  json.set("num_hidden_layers", 6);
  EXPECT_EQ(kinds_of_layers(json), "dmmmmm");
  json.set("moe_layer_end_index", -1);
  EXPECT_EQ(kinds_of_layers(json), "dmmmmm");
  json.set("moe_layer_end_index", 3);
  EXPECT_EQ(kinds_of_layers(json), "dmmmdd");
  json.set("moe_layer_interval", 2);
  EXPECT_EQ(kinds_of_layers(json), "dmdmdd");
  json.set("moe_layer_interval", 1);
  json.set("moe_layer_start_index", Json::parse("[2, 1]").value());
  json.set("moe_layer_end_index", Json::parse("[29, 28]").value());
  EXPECT_EQ(kinds_of_layers(json), "dmmmmm");
  json.set("mlp_layer_types",
           Json::parse(R"(["dense","sparse","dense","dense","dense","sparse"])").value());
  EXPECT_EQ(kinds_of_layers(json), "dmdddm");
}

TEST(ErnieConfig, numbers_of_a_mixture_may_be_lists) {
  Json json = moe_config();
  json.set("moe_num_experts", Json::parse("[64, 32]").value());
  json.set("moe_intermediate_size", Json::parse("[1536, 512]").value());
  const auto config = parse_config(json.dump());
  ASSERT_TRUE(config) << config.status().message;
  EXPECT_EQ(config->moe.num_experts, 64);
  EXPECT_EQ(config->moe.intermediate_size, 1536);
}

TEST(ErnieConfig, refuses_a_mixture_by_field) {
  const std::pair<const char*, std::vector<const char*>> cases[] = {
      {"moe_num_experts", {"0", "-1", "1025", "null", "[]", "\"64\""}},
      {"moe_k", {"0", "65", "null"}},
      {"moe_intermediate_size", {"0", "null", "[0]"}},
      {"moe_num_shared_experts", {"-1", "65"}},
      {"moe_layer_start_index", {"-1", "\"1\""}},
      {"moe_layer_interval", {"0"}},
      {"moe_use_aux_free", {"1"}},
      {"moe_norm_min", {"-1", "2"}},
      {"moe_gate_act", {"\"sigmoid\""}},
      {"mlp_layer_types", {"[]", "[\"dense\"]", "1"}},
  };
  for (const auto& [key, values] : cases)
    for (const char* value : values) {
      Json json = moe_config();
      json.set(key, Json::parse(value).value());
      EXPECT_EQ(refusal(json).param, key) << value << ": " << refusal(json).message;
    }
  Json json = moe_config();
  json.set("moe_num_experts", 1024);
  json.set("num_hidden_layers", 65);
  EXPECT_EQ(refusal(json).param, "moe_num_experts");
}

TEST(ErnieConfig, only_a_json_object_will_do) {
  for (const char* text : {"", "[]", "3", "{", "{\"a\":[[[[[[[[[[[[[[[[[[[["})
    EXPECT_FALSE(parse_config(text)) << text;
}

}  // namespace
}  // namespace erne::model
