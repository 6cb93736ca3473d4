#include "text/tokenizer_files.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <map>
#include <system_error>
#include <unordered_map>
#include <unordered_set>

#include "base/json_file.h"
#include "text/tokenizer_json.h"

namespace erne::text {
namespace {

constexpr uintmax_t kMaxFileBytes = 64 << 20;
constexpr size_t kMaxTokenBytes = 1024;

constexpr const char* kConfigName = "tokenizer_config.json";
constexpr const char* kAddedName = "added_tokens.json";
constexpr const char* kJsonName = "tokenizer.json";
constexpr const char* kMapName = "special_tokens_map.json";

Result<Json> parse_object(const std::string& text, const char* name) {
  if (is_blank(text)) return Json(Json::Object{});
  auto parsed = parse_json_file(text);
  if (!parsed.ok()) return invalid(fmt::format("{}: {}", name, parsed.status().message));
  if (!parsed->is_object())
    return invalid(fmt::format("{}: expected an object, found {}", name, parsed->type_name()));
  return parsed;
}

// A token is written as its text, or as an object with its text and flags.
const std::string* token_content(const Json& value) {
  if (value.is_string()) return &value.as_string();
  const Json* content = value.find("content");
  return content != nullptr && content->is_string() ? &content->as_string() : nullptr;
}

void take_more_special(const Json& tokens, std::vector<std::string>& more) {
  const auto take = [&](const Json& token) {
    const std::string* content = token_content(token);
    if (content != nullptr && !content->empty()) more.push_back(*content);
  };
  if (tokens.is_array())
    for (const Json& token : tokens.as_array()) take(token);
  if (tokens.is_object())
    for (const auto& named : tokens.as_object()) take(named.second);
}

// Collects what tokenizer_config.json and special_tokens_map.json have in common.
void take_named_tokens(const Json& object, TokenizerConfig& config) {
  std::unordered_set<std::string> known;
  for (const auto& named : config.named) known.insert(named.first);
  for (const auto& [key, value] : object.as_object()) {
    const std::string* content = token_content(value);
    const bool is_name = key.ends_with("_token") && content != nullptr && !content->empty();
    if (is_name && known.insert(key).second) config.named.emplace_back(key, *content);
    if (key == "additional_special_tokens" || key == "extra_special_tokens")
      take_more_special(value, config.more_special);
  }
}

// Joins the two lists of added tokens; each id and each content may have one partner only.
class AddedTokenList {
 public:
  Result<void> add(const char* file, const std::string& content, int64_t id,
                   std::optional<bool> special, const std::optional<TokenFlags>& flags) {
    if (content.empty() || content.size() > kMaxTokenBytes)
      return invalid(fmt::format("{}: token {} has {} bytes; allowed are 1 to {}", file, id,
                                 content.size(), kMaxTokenBytes));
    if (id < 0 || id > kMaxTokenId)
      return invalid(fmt::format("{}: token id {} is not in 0 to {}", file, id, kMaxTokenId));
    const auto token = static_cast<TokenId>(id);
    const auto [known, is_new] = by_id_.try_emplace(token, AddedToken{content, token, special, {}});
    const auto [owner, is_new_content] = id_of_.try_emplace(content, token);
    if (known->second.content != content || owner->second != token)
      return invalid(fmt::format("{}: the tokens with ids {} and {} have one text or one id", file,
                                 token, owner->second));
    if (special.has_value()) known->second.special = special;
    if (flags.has_value()) known->second.flags = *flags;
    return {};
  }

  std::vector<AddedToken> take() {
    std::vector<AddedToken> list;
    for (auto& [id, added] : by_id_) list.push_back(std::move(added));
    return list;
  }

 private:
  std::map<TokenId, AddedToken> by_id_;
  std::unordered_map<std::string, TokenId> id_of_;
};

Result<void> take_added_tokens(const Json& object, AddedTokenList& list) {
  for (const auto& [content, id] : object.as_object()) {
    if (!id.is_integer())
      return invalid(fmt::format("{}: expected ids, found {}", kAddedName, id.type_name()));
    TRY(list.add(kAddedName, content, id.as_int(), std::nullopt, std::nullopt));
  }
  return {};
}

// added_tokens_decoder: {"3": {"content": "0", "special": false, ...}, ...}
Result<void> take_added_tokens_decoder(const Json& decoder, AddedTokenList& list) {
  if (!decoder.is_object())
    return invalid(fmt::format("{}: added_tokens_decoder: expected an object, found {}",
                               kConfigName, decoder.type_name()));
  for (const auto& [key, value] : decoder.as_object()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const Json* content = value.find("content");
    if (error != std::errc() || end != key.data() + key.size() || content == nullptr ||
        !content->is_string())
      return invalid(fmt::format("{}: added_tokens_decoder: an entry is not an id with a content",
                                 kConfigName));
    const Json* special = value.find("special");
    std::optional<bool> flag;
    if (special != nullptr && special->is_bool()) flag = special->as_bool();
    TRY(list.add(kConfigName, content->as_string(), id, flag, token_flags(value)));
  }
  return {};
}

}  // namespace

Result<std::string> read_optional_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return std::string();
  if (error) return invalid(fmt::format("{}: {}", path.string(), error.message()));
  if (!std::filesystem::is_regular_file(status))
    return invalid(fmt::format("{}: expected a file, found something else", path.string()));
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return invalid(fmt::format("{}: {}", path.string(), error.message()));
  if (size > kMaxFileBytes)
    return invalid(fmt::format("{}: {} bytes; at most {}", path.string(), size, kMaxFileBytes));
  std::string bytes(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size)))
    return invalid(fmt::format("{}: cannot be read", path.string()));
  if (bytes.starts_with("version https://git-lfs.github.com/spec/"))
    return invalid(fmt::format(
        "{}: holds a pointer of Git LFS, not the file itself; fetch it with git lfs pull",
        path.string()));
  return bytes;
}

Result<TokenizerFiles> load_tokenizer_files(const std::filesystem::path& model_dir) {
  TokenizerFiles files;
  for (const char* name : {"tokenizer.model", "spm.model", "ernie_token_100k.model"}) {
    if (files.model.empty()) files.model = TRY(read_optional_file(model_dir / name));
  }
  if (files.model.empty()) files.json = TRY(read_optional_file(model_dir / kJsonName));
  files.added = TRY(read_optional_file(model_dir / kAddedName));
  files.config = TRY(read_optional_file(model_dir / kConfigName));
  files.special_map = TRY(read_optional_file(model_dir / kMapName));
  return files;
}

Result<TokenizerConfig> parse_tokenizer_config(const TokenizerFiles& files,
                                               std::span<const AddedToken> listed) {
  TokenizerConfig config;
  config.json = TRY(parse_object(files.config, kConfigName));
  const Json map = TRY(parse_object(files.special_map, kMapName));
  const Json added = TRY(parse_object(files.added, kAddedName));
  take_named_tokens(config.json, config);
  take_named_tokens(map, config);

  AddedTokenList list;
  TRY(take_added_tokens(added, list));
  for (const AddedToken& token : listed)
    TRY(list.add(kJsonName, token.content, token.id, token.special, token.flags));
  const Json* decoder = config.json.find("added_tokens_decoder");
  if (decoder != nullptr && !decoder->is_null()) TRY(take_added_tokens_decoder(*decoder, list));
  config.added = list.take();
  return config;
}

}  // namespace erne::text
