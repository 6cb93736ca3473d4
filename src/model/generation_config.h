// generation_config.json: what the checkpoint's authors suggest where a request says nothing. No
// suggestion is worth a start that fails: a value that cannot be taken is brought into its range or
// passed over, and a warning names it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ernie_config.h"

namespace erne::model {

struct GenerationConfig {
  std::vector<int32_t> eos_token_ids =
      {};  // at least one; from config.json if the file does not say
  std::optional<double> temperature = {};  // 0 where the file says do_sample: false
  std::optional<double> top_p = {};
  std::optional<int> top_k = {};  // 0: off
  std::optional<double> repetition_penalty = {};
  std::vector<std::string> warnings = {};  // whole sentences
};

GenerationConfig parse_generation_config(std::string_view text, const ErnieConfig& config);

// Reads <folder>/generation_config.json and logs its warnings; without that file, the defaults of
// `config`.
GenerationConfig read_generation_config(const std::filesystem::path& folder,
                                        const ErnieConfig& config);

}  // namespace erne::model
