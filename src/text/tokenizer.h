// text: between characters and token ids. Tokenizer (byte pair encoding, added tokens split outside
// it), Detokenizer, StopMatcher, and the checkpoint's own chat template (ChatTemplate, ChatPrompt).
// Knows no request, no engine and no socket. Tokenizer and ChatPrompt are immutable once loaded and
// may be used by any number of threads at once; Detokenizer and StopMatcher belong to one stream
// each.
//
// This header: a checkpoint's vocabulary, from tokenizer.model or, without one, tokenizer.json.
// Encoding splits the text at added tokens (longest first, left to right, with the flags Hugging
// Face's AddedToken has; the ten digits are added tokens, so a number is always single digits) and
// encodes every segment between them on its own. Decoding follows SentencePiece: byte
// pieces join, and each byte that belongs to no character becomes U+FFFD. No leading space is ever
// added or dropped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/token_id.h"
#include "text/added_tokens.h"

namespace erne::text {

// A checkpoint's tokenizer files, as bytes. Empty: the checkpoint does not have the file.
struct TokenizerFiles {
  std::string model;        // tokenizer.model, spm.model or ernie_token_100k.model
  std::string json;         // tokenizer.json; not read where there is a model
  std::string added;        // added_tokens.json: {content: id}
  std::string config;       // tokenizer_config.json: flags, named tokens, added_tokens_decoder
  std::string special_map;  // special_tokens_map.json: named tokens
};

// How much is wanted of a text's encoding.
struct EncodeLimits {
  size_t max_tokens = std::string::npos;
  // Asked every few thousand characters; false: nobody wants the result any more. Null: wanted.
  std::function<bool()> is_wanted = nullptr;
};

Status too_many_tokens(size_t max_tokens);  // kTooLong

class Tokenizer {
 public:
  // kNotFound: neither kind of vocabulary in the folder. kInvalid: a file is not what it should be;
  // the message names file and field.
  static Result<std::unique_ptr<Tokenizer>> load(const std::filesystem::path& model_dir);
  static Result<std::unique_ptr<Tokenizer>> from_files(const TokenizerFiles& files);
  ~Tokenizer();

  // Time is about linear in the text. Bytes that are not UTF-8 count as U+FFFD. `at_start`: the
  // text is not the continuation of another one.
  std::vector<TokenId> encode(std::string_view text, Specials specials, bool at_start = true) const;
  // kTooLong: more than `max_tokens`. kCancelled: not wanted any more. Both end the work.
  Result<std::vector<TokenId>> encode_within(std::string_view text, Specials specials,
                                             const EncodeLimits& limits,
                                             bool at_start = true) const;
  // No text of so many bytes has fewer tokens: what cannot fit is refused before it is encoded.
  size_t least_tokens(size_t bytes) const;

  std::string decode(std::span<const TokenId> ids, bool skip_special) const;

  // The file the vocabulary is from: "tokenizer.model" or "tokenizer.json".
  const char* source() const;

  // One more than the largest id. The model's vocabulary may be larger: rows from here on are
  // padding, and decode to nothing.
  int size() const;

  // The functions below take any id; one that names no token has no bytes and is not special.
  bool is_special(TokenId id) const;
  std::string_view piece(TokenId id) const;  // as the vocabulary writes it: "▁could", "<0x0A>"
  std::string_view token_bytes(TokenId id) const;  // what it adds to a text: " could", "\n"
  // A byte piece: one byte of a character that its neighbours complete.
  bool is_byte(TokenId id) const;

  // The id of exactly this token, given as the vocabulary writes it.
  std::optional<TokenId> find(std::string_view piece) const;

  // Added tokens, longest first among those that start alike: where `text` starts with one.
  struct Added {
    TokenId id;
    size_t length;  // bytes of text
    bool special;
  };
  std::optional<Added> added_token_at(std::string_view text) const;
  // How an added token is found; no flags for any other id.
  TokenFlags flags(TokenId id) const;

  // Named tokens of the configuration ("bos_token", "eos_token", "pad_token", "cls_token", ...)
  // with their texts, in the order of the file.
  const std::vector<std::pair<std::string, std::string>>& named_tokens() const;
  // tokenizer_config.json, for what else it says (model_max_length, tokenizer_class,
  // chat_template); an empty object where the checkpoint has none.
  const Json& config() const;
  // Tokens; none where the configuration gives no usable number.
  std::optional<int64_t> model_max_length() const;

 private:
  struct State;
  class Encoding;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace erne::text
