#include "model/ernie_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/log.h"
#include "model/stated_quantization.h"

namespace erne::model {
namespace {

// Far above any model, and such that no product of two of them leaves 63 bits.
constexpr int kMaxVocab = 1 << 22;
constexpr int kMaxHidden = 1 << 16;
constexpr int kMaxIntermediate = 1 << 20;
constexpr int kMaxLayers = 1024;
constexpr int kMaxExperts = 1024;
constexpr int kMaxExpertLayers = 1 << 16;  // experts of all layers: a list of them is made
constexpr int kMaxSharedExperts = 64;
constexpr int kMaxHeads = 1024;
constexpr int kMaxHeadDim = 1024;
constexpr int kHeadDimStep = 2;         // rotary pairs; a back end may ask for more (BackendLimits)
constexpr int kMaxPositions = 1 << 24;  // each is exact in float32, as the rotary angle needs it

// Only what leaves the angles as they are: no kind and no factor, or "linear" by a factor of 1.
Result<void> check_rope(const char* key, const ConfigFields& rope) {
  const Json* factor = rope.find("factor");
  const bool is_one = factor != nullptr && factor->is_number() && factor->as_double() == 1.0;
  for (const char* name : {"rope_type", "type"})
    if (const auto type = TRY(rope.text(name));
        type && *type != "default" && !(*type == "linear" && is_one))
      return bad_field(fmt::format("{}.{}", key, name), rope.find(name),
                       "\"default\", or \"linear\" with a factor of 1");
  if (factor != nullptr && !is_one && rope.find("rope_type") == nullptr &&
      rope.find("type") == nullptr)
    return bad_field(fmt::format("{}.factor", key), factor, "1");
  if (const Json* part = rope.find("partial_rotary_factor");
      part != nullptr && !(part->is_number() && part->as_double() == 1.0))
    return bad_field(fmt::format("{}.partial_rotary_factor", key), part, "1");
  return {};
}

// Settings of other models that would change the arithmetic.
Result<void> check_arithmetic(const ConfigFields& fields) {
  if (const auto act = TRY(fields.text("hidden_act")); act && *act != "silu")
    return bad_field("hidden_act", fields.find("hidden_act"), "\"silu\"");
  if (const auto act = TRY(fields.text("moe_gate_act")); act && *act != "softmax")
    return bad_field("moe_gate_act", fields.find("moe_gate_act"), "\"softmax\"");
  for (const char* key : {"use_bias", "rope_3d", "use_qk_norm"})
    if (TRY(fields.boolean(key)).value_or(false)) return bad_field(key, fields.find(key), "false");
  if (fields.find("sliding_window") != nullptr)
    return unsupported("sliding_window: such checkpoints are not built yet", "sliding_window");
  if (const Json* ratio = fields.find("compression_ratio");
      ratio != nullptr && !(ratio->is_number() && ratio->as_double() == 1.0))
    return bad_field("compression_ratio", ratio, "1");
  for (const char* key : {"rope_scaling", "rope_parameters"})
    TRY(check_rope(key, TRY(fields.object(key))));
  return {};
}

Result<void> parse_dimensions(const ConfigFields& fields, ErnieConfig& config) {
  config.vocab_size = TRY(fields.integer("vocab_size", 1, kMaxVocab));
  config.hidden_size = TRY(fields.integer("hidden_size", 1, kMaxHidden));
  config.num_layers = TRY(fields.integer("num_hidden_layers", 1, kMaxLayers));
  config.intermediate_size = TRY(fields.integer("intermediate_size", 1, kMaxIntermediate));
  config.max_position_embeddings =
      TRY(fields.integer("max_position_embeddings", 1, kMaxPositions, 131072));

  const int heads = config.num_heads = TRY(fields.integer("num_attention_heads", 1, kMaxHeads));
  config.num_kv_heads = TRY(fields.integer("num_key_value_heads", 1, heads, heads));
  if (heads % config.num_kv_heads != 0)
    return bad_field("num_key_value_heads", fields.find("num_key_value_heads"),
                     fmt::format("a divisor of num_attention_heads, {}", heads));

  if (fields.find("head_dim") == nullptr && config.hidden_size % heads != 0)
    return bad_field(
        "head_dim", nullptr,
        fmt::format("one, since hidden_size {} is no multiple of num_attention_heads {}",
                    config.hidden_size, heads));
  config.head_dim = TRY(fields.integer("head_dim", 1, kMaxHeadDim, config.hidden_size / heads));
  if (config.head_dim % kHeadDimStep != 0 || config.head_dim > kMaxHeadDim || config.head_dim == 0)
    return bad_field(
        "head_dim", fields.find("head_dim"),
        fmt::format("a multiple of {} up to {} (hidden_size / num_attention_heads is {})",
                    kHeadDimStep, kMaxHeadDim, config.hidden_size / heads));
  return {};
}

// A number without which the arithmetic is a guess: the guess is the released models', and said.
Result<double> number_or_released(const ConfigFields& fields, const char* key, double above,
                                  double most, double released) {
  const std::optional<double> value = TRY(fields.number(key, above, most));
  if (!value) log_warning("config.json does not say {}: taking {}", key, released);
  return value.value_or(released);
}

Result<void> parse_constants(const ConfigFields& fields, ErnieConfig& config) {
  config.rms_norm_eps =
      static_cast<float>(TRY(number_or_released(fields, "rms_norm_eps", 1e-20, 0.1, 1e-5)));
  const ConfigFields rope = TRY(fields.object("rope_parameters"));  // HF's own files
  const ConfigFields& holder = rope.find("rope_theta") != nullptr ? rope : fields;
  config.rope_theta = TRY(number_or_released(holder, "rope_theta", 1, 1e12, 500000));
  return {};
}

// A number that files of text models give as one, and those of vision models as a list whose first
// is the text's.
Result<int> first_integer(const ConfigFields& fields, const char* key, int min, int max) {
  const std::vector<int32_t> list = TRY(fields.integers(key, min, max));
  if (list.empty())
    return bad_field(key, fields.find(key),
                     fmt::format("an integer in [{}, {}] or a list of them", min, max));
  return list[0];
}

// HF's own files list the kind of each layer.
Result<std::vector<bool>> listed_layers(const Json& list, int num_layers) {
  constexpr const char* kKey = "mlp_layer_types";
  const std::string expected = fmt::format("a list of {} of \"dense\" and \"sparse\"", num_layers);
  if (!list.is_array() || std::ssize(list.as_array()) != num_layers)
    return bad_field(kKey, &list, expected);
  std::vector<bool> layers;
  for (const Json& type : list.as_array()) {
    if (!type.is_string() || (type.as_string() != "dense" && type.as_string() != "sparse"))
      return bad_field(kKey, &list, expected);
    layers.push_back(type.as_string() == "sparse");
  }
  return layers;
}

// Baidu's say where mixtures begin, where they end (that layer included; -1 is the last) and how
// far they are apart. Lists give a number for text and one for vision: the layers of either.
Result<std::vector<bool>> moe_layers(const ConfigFields& fields, int num_layers) {
  if (const Json* list = fields.find("mlp_layer_types"); list != nullptr)
    return listed_layers(*list, num_layers);
  const std::vector<int32_t> starts = TRY(fields.integers("moe_layer_start_index", 0, kMaxLayers));
  const std::vector<int32_t> ends = TRY(fields.integers("moe_layer_end_index", -1, kMaxLayers));
  const int interval = TRY(fields.integer("moe_layer_interval", 1, kMaxLayers, 1));
  const int start = starts.empty() ? 0 : *std::ranges::min_element(starts);
  int end = ends.empty() ? -1 : *std::ranges::max_element(ends);
  if (end == -1) end = num_layers - 1;
  std::vector<bool> layers;
  for (int i = 0; i < num_layers; ++i)
    layers.push_back((i + 1) % interval == 0 && start <= i && i <= end);
  return layers;
}

Result<void> parse_experts(const ConfigFields& fields, ErnieConfig& config) {
  MoeConfig& moe = config.moe;
  moe.num_experts = TRY(first_integer(fields, "moe_num_experts", 1, kMaxExperts));
  if (int64_t{moe.num_experts} * config.num_layers > kMaxExpertLayers)
    return bad_field(
        "moe_num_experts", fields.find("moe_num_experts"),
        fmt::format("at most {} / num_hidden_layers, {}", kMaxExpertLayers, config.num_layers));
  moe.top_k = TRY(fields.integer("moe_k", 1, moe.num_experts));
  moe.intermediate_size = TRY(first_integer(fields, "moe_intermediate_size", 1, kMaxIntermediate));
  moe.num_shared_experts = TRY(fields.integer("moe_num_shared_experts", 0, kMaxSharedExperts, 0));
  moe.has_correction_bias = TRY(fields.boolean("moe_use_aux_free")).value_or(true);
  moe.norm_min = static_cast<float>(TRY(fields.number("moe_norm_min", 0, 1)).value_or(1e-12));
  moe.layers = TRY(moe_layers(fields, config.num_layers));
  return {};
}

// Ids that no vocabulary has can end nothing: some tools write -1 for none, or forget to count
// tokens that they have added.
Result<std::vector<int32_t>> parse_end_tokens(const ConfigFields& fields, int vocab_size) {
  constexpr const char* kKey = "eos_token_id";
  constexpr int kLeast = std::numeric_limits<int32_t>::min();
  constexpr int kMost = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> ids = TRY(fields.integers(kKey, kLeast, kMost));
  const auto outside = [&](int32_t id) { return id < 0 || id >= vocab_size; };
  const bool is_odd = std::ranges::any_of(ids, outside);
  std::erase_if(ids, outside);
  if (ids.empty()) ids = {std::min(2, vocab_size - 1)};
  if (is_odd)
    log_warning(
        "config.json: {}: found {}, of which ids outside the vocabulary of {} count as "
        "none: taking {}",
        kKey, show_value(fields.find(kKey)), vocab_size, fmt::join(ids, ", "));
  return ids;
}

}  // namespace

Result<std::string> parse_architecture(const ConfigFields& fields) {
  const Json* list = fields.find("architectures");
  if (list == nullptr) {
    const std::string type = TRY(fields.text("model_type")).value_or("");
    if (type == "ernie4_5") return std::string("Ernie4_5ForCausalLM");
    if (type == "ernie4_5_moe") return std::string("Ernie4_5_MoeForCausalLM");
  } else if (list->is_array() && list->as_array().size() == 1 && list->as_array()[0].is_string()) {
    return list->as_array()[0].as_string();
  }
  return bad_field("architectures", list, "a list of one name");
}

Result<ErnieConfig> parse_ernie_config(const ConfigFields& fields, std::string architecture,
                                       bool has_experts) {
  ErnieConfig config;
  config.architecture = std::move(architecture);
  TRY(check_arithmetic(fields));
  TRY(parse_dimensions(fields, config));
  if (has_experts) TRY(parse_experts(fields, config));
  TRY(parse_constants(fields, config));
  config.quantization = TRY(parse_stated_quantization(fields, config.moe.intermediate_size));

  config.tie_word_embeddings = TRY(fields.boolean("tie_word_embeddings"));
  config.eos_token_ids = TRY(parse_end_tokens(fields, config.vocab_size));
  return config;
}

}  // namespace erne::model
