// Scored tokens in the shapes of the two endpoints.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "server/delta.h"
#include "text/tokenizer.h"

namespace erne::server {

// How tokens are called in replies: by their text; where that is not UTF-8, as "bytes:\xe4\xbd";
// and as "token_id:123" where there is no tokenizer or the client asks for it.
class TokenNames {
 public:
  TokenNames(const text::Tokenizer* tokenizer, bool as_ids)
      : tokenizer_(tokenizer), as_ids_(as_ids || tokenizer == nullptr) {}
  std::string name(TokenId id) const;
  Json bytes(TokenId id) const;  // null without a tokenizer
  static std::string id_name(TokenId id);

 private:
  const text::Tokenizer* tokenizer_;
  bool as_ids_;
};

// {"content": [{"token", "logprob", "bytes", "top_logprobs"}, ...]}
Json chat_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names);
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: a list each, as long as the tokens.
// A position's top_logprobs hold the best tokens and the one that stands there; where two tokens
// have the same text, the less likely goes by its id_name, so that no score is lost.
Json completion_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names);
// [null, {"<id>": {"logprob", "rank", "decoded_token"}, ...}, ...]. rank is null for a token that
// is not among the best.
Json prompt_logprobs(const std::vector<ScoredToken>& tokens, const TokenNames& names);

}  // namespace erne::server
