// A checkpoint's tokenizer files, and what the JSON among them says.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace erne::text {

// Empty where there is no such file; kInvalid where it is a folder or a device, cannot be read, or
// is absurdly large.
Result<std::string> read_optional_file(const std::filesystem::path& path);

Result<TokenizerFiles> load_tokenizer_files(const std::filesystem::path& model_dir);

struct TokenizerConfig {
  Json json = Json::Object{};  // tokenizer_config.json
  // "bos_token" and its kind, with their texts; tokenizer_config.json before
  // special_tokens_map.json.
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<std::string> more_special;  // additional_special_tokens, extra_special_tokens
  std::vector<AddedToken> added;          // by id; ids and contents are unique
};

// `listed`: the added tokens of a tokenizer.json. The vocabulary's file is not looked at.
Result<TokenizerConfig> parse_tokenizer_config(const TokenizerFiles& files,
                                               std::span<const AddedToken> listed = {});

}  // namespace erne::text
