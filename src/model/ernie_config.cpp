#include "model/ernie_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "model/config_fields.h"
#include "model/registry.h"

namespace erne::model {
namespace {

// Far above any model, and such that no product of two of them leaves 63 bits.
constexpr int kMaxVocab = 1 << 22;
constexpr int kMaxHidden = 1 << 16;
constexpr int kMaxIntermediate = 1 << 20;
constexpr int kMaxLayers = 1024;
constexpr int kMaxHeads = 1024;
constexpr int kMaxHeadDim = 1024;
constexpr int kHeadDimStep = 16;  // what attention kernels work on at a time; every model has 128
constexpr int kMaxPositions = 1 << 24;  // each is exact in float32, as the rotary angle needs it

Result<std::string> parse_architecture(const ConfigFields& fields) {
  const Json* list = fields.find("architectures");
  if (list == nullptr) {
    const std::string type = TRY(fields.text("model_type")).value_or("");
    if (type == "ernie4_5") return std::string("Ernie4_5ForCausalLM");
  } else if (list->is_array() && list->as_array().size() == 1 && list->as_array()[0].is_string()) {
    return list->as_array()[0].as_string();
  }
  return bad_field("architectures", list, "a list of one name");
}

// Settings of other models that would change the arithmetic.
Result<void> check_arithmetic(const ConfigFields& fields) {
  if (const auto act = TRY(fields.text("hidden_act")); act && *act != "silu")
    return bad_field("hidden_act", fields.find("hidden_act"), "\"silu\"");
  for (const char* key : {"use_bias", "rope_3d", "use_qk_norm"})
    if (TRY(fields.boolean(key)).value_or(false)) return bad_field(key, fields.find(key), "false");
  for (const char* key : {"sliding_window", "quantization_config"})
    if (fields.find(key) != nullptr)
      return unsupported(fmt::format("{}: such checkpoints are not built yet", key), key);
  if (const Json* ratio = fields.find("compression_ratio");
      ratio != nullptr && !(ratio->is_number() && ratio->as_double() == 1.0))
    return bad_field("compression_ratio", ratio, "1");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const ConfigFields rope = TRY(fields.object(key));
    for (const char* name : {"rope_type", "type"})
      if (const auto type = TRY(rope.text(name)); type && *type != "default")
        return bad_field(fmt::format("{}.{}", key, name), rope.find(name), "\"default\"");
  }
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

}  // namespace

Result<ErnieConfig> parse_ernie_config(std::string_view text) {
  const ConfigFields fields = TRY(ConfigFields::parse(text));
  ErnieConfig config;
  config.architecture = TRY(parse_architecture(fields));
  TRY(find_architecture(config.architecture));
  TRY(check_arithmetic(fields));
  TRY(parse_dimensions(fields, config));
  TRY(parse_constants(fields, config));

  const std::optional<bool> tied = TRY(fields.boolean("tie_word_embeddings"));
  config.tie_is_stated = tied.has_value();
  config.tie_word_embeddings = tied.value_or(true);
  const int last_id = config.vocab_size - 1;
  config.bos_token_id = TRY(fields.integer("bos_token_id", 0, last_id, std::min(1, last_id)));
  const std::vector<int32_t> eos = TRY(fields.integers("eos_token_id", 0, last_id));
  config.eos_token_ids = eos.empty() ? std::vector<int32_t>{std::min(2, last_id)} : eos;
  return config;
}

Result<ErnieConfig> read_ernie_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  Result<ErnieConfig> config = parse_ernie_config(TRY(read_config_text(path)));
  if (!config) return in_file(path, config.status());
  return config;
}

}  // namespace erne::model
