// generation_config.json: what the checkpoint's authors suggest where a request says nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ernie_config.h"

namespace erne::model {

struct GenerationConfig {
  std::vector<int32_t> eos_token_ids;  // at least one; from config.json if the file does not say
  std::optional<double> temperature;   // 0 where the file says do_sample: false
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<double> repetition_penalty;
};

Result<GenerationConfig> parse_generation_config(std::string_view text, const ErnieConfig& config);

// Reads <folder>/generation_config.json; without that file, the defaults of `config`.
Result<GenerationConfig> read_generation_config(const std::filesystem::path& folder,
                                                const ErnieConfig& config);

}  // namespace erne::model
