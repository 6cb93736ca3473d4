// added_tokens.json, tokenizer_config.json and special_tokens_map.json, one after the other with
// NUL between them, beside a sound model file.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/log.h"
#include "text/text_goldens.h"

namespace {

std::string take_until_nul(std::string_view& rest) {
  const size_t end = std::min(rest.find('\0'), rest.size());
  std::string taken(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace erne::text;
  using erne::TokenId;
  static const std::string model = golden_text("tokenizer.model");
  erne::set_log_level(erne::LogLevel::kError);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  TokenizerFiles files;
  files.model = model;
  files.added = take_until_nul(rest);
  files.config = take_until_nul(rest);
  files.special_map = take_until_nul(rest);
  const auto tokenizer = Tokenizer::from_files(files);
  if (!tokenizer.ok()) return 0;
  const Tokenizer& t = **tokenizer;
  std::string text = "<|im_start|>12 <mask:1>中 the";
  for (TokenId id = 0; id < t.size() && text.size() < 4096; ++id)
    if (t.is_special(id)) text += t.token_bytes(id);
  for (const TokenId id : t.encode(text, Specials::kAsText)) CHECK(!t.is_special(id));
  t.model_max_length();
  return 0;
}
