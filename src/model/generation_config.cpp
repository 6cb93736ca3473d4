#include "model/generation_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "model/config_fields.h"

namespace erne::model {
namespace {

constexpr size_t kMostEndTokens = 1024;

struct Range {
  double least, most;
};

// Reads members one by one, and keeps a sentence about each that is not taken as it is.
class Suggestions {
 public:
  explicit Suggestions(const ConfigFields& fields) : fields_(fields) {}

  // Brought into the range, where it is a number at all.
  std::optional<double> number(const char* key, Range range) {
    const Json* value = fields_.find(key);
    if (value == nullptr) return {};
    if (!value->is_number() || !std::isfinite(value->as_double()))
      return pass_over(key, *value, "it is no number");
    const double found = value->as_double();
    const double taken = std::clamp(found, range.least, range.most);
    if (taken != found) warn(key, *value, fmt::format("taken as {:g}", taken));
    return taken;
  }

  // 0 and -1 switch it off.
  std::optional<int> top_k(int vocab_size) {
    const Json* value = fields_.find("top_k");
    if (value == nullptr) return {};
    const auto whole = whole_number(*value);
    if (!whole) return pass_over("top_k", *value, "it is no whole number");
    if (*whole < -1) warn("top_k", *value, "taken as off");
    if (*whole > vocab_size)
      warn("top_k", *value, fmt::format("taken as {}, the whole vocabulary", vocab_size));
    return static_cast<int>(std::clamp<int64_t>(*whole, 0, vocab_size));
  }

  std::optional<bool> do_sample() {
    const Json* value = fields_.find("do_sample");
    if (value == nullptr) return {};
    if (!value->is_bool()) return pass_over("do_sample", *value, "it is neither true nor false");
    return value->as_bool();
  }

  std::vector<int32_t> end_tokens(int vocab_size) {
    std::vector<int32_t> ids;
    const Json* value = fields_.find("eos_token_id");
    if (value == nullptr) return ids;
    const Json::Array one = {*value};
    bool is_odd = false;
    for (const Json& element : value->is_array() ? value->as_array() : one) {
      const auto id = whole_number(element);
      if (id && *id >= 0 && *id < vocab_size && ids.size() < kMostEndTokens)
        ids.push_back(static_cast<int32_t>(*id));
      else
        is_odd = true;
    }
    if (is_odd)
      warn("eos_token_id", *value,
           fmt::format("what is no id of the vocabulary of {} is passed over", vocab_size));
    return ids;
  }

  std::vector<std::string> warnings;

 private:
  void warn(const char* key, const Json& value, const std::string& what) {
    warnings.push_back(fmt::format("{}: found {}: {}", key, show_value(&value), what));
  }
  std::nullopt_t pass_over(const char* key, const Json& value, const char* why) {
    warn(key, value, fmt::format("passed over, since {}", why));
    return std::nullopt;
  }

  const ConfigFields& fields_;
};

}  // namespace

GenerationConfig parse_generation_config(std::string_view text, const ErnieConfig& config) {
  const Result<ConfigFields> parsed = ConfigFields::parse(text);
  const ConfigFields fields = parsed ? *parsed : ConfigFields(Json(Json::Object()));
  Suggestions suggestions(fields);
  GenerationConfig out;
  out.eos_token_ids = suggestions.end_tokens(config.vocab_size);
  if (out.eos_token_ids.empty()) out.eos_token_ids = config.eos_token_ids;
  out.temperature = suggestions.number("temperature", {0, 100});
  if (!suggestions.do_sample().value_or(true)) out.temperature = 0.0;
  // 0 would keep nothing; as little as this keeps the likeliest token alone.
  out.top_p = suggestions.number("top_p", {1e-5, 1});
  out.top_k = suggestions.top_k(config.vocab_size);
  out.repetition_penalty = suggestions.number("repetition_penalty", {0.01, 100});
  out.warnings = std::move(suggestions.warnings);
  if (!parsed) out.warnings = {fmt::format("passed over: {}", parsed.status().message)};
  return out;
}

GenerationConfig read_generation_config(const std::filesystem::path& folder,
                                        const ErnieConfig& config) {
  const std::filesystem::path path = folder / "generation_config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return parse_generation_config("{}", config);
  const Result<std::string> text = read_config_text(path);
  if (!text) log_warning("{}; passed over", text.status().message);
  GenerationConfig out = parse_generation_config(text ? *text : "{}", config);
  for (const std::string& warning : out.warnings) log_warning("{}: {}", path.string(), warning);
  return out;
}

}  // namespace erne::model
