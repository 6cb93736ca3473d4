#include "model/generation_config.h"

#include "model/config_fields.h"

namespace erne::model {

Result<GenerationConfig> parse_generation_config(std::string_view text, const ErnieConfig& config) {
  const ConfigFields fields = TRY(ConfigFields::parse(text));
  GenerationConfig out;
  out.eos_token_ids = TRY(fields.integers("eos_token_id", 0, config.vocab_size - 1));
  if (out.eos_token_ids.empty()) out.eos_token_ids = config.eos_token_ids;
  // Zero is greedy, so the lower bound is just below it.
  out.temperature = TRY(fields.number("temperature", -1e-300, 100));
  if (!TRY(fields.boolean("do_sample")).value_or(true)) out.temperature = 0.0;
  out.top_p = TRY(fields.number("top_p", 0, 1));
  if (fields.find("top_k") != nullptr)
    out.top_k = TRY(fields.integer("top_k", 0, config.vocab_size));
  out.repetition_penalty = TRY(fields.number("repetition_penalty", 0, 100));
  return out;
}

Result<GenerationConfig> read_generation_config(const std::filesystem::path& folder,
                                                const ErnieConfig& config) {
  const std::filesystem::path path = folder / "generation_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return parse_generation_config("{}", config);
  Result<GenerationConfig> out = parse_generation_config(TRY(read_config_text(path)), config);
  if (!out) return in_file(path, out.status());
  return out;
}

}  // namespace erne::model
