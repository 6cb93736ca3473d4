// One of a request's outputs while it grows: the engine's events in, pieces of the reply out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sched/request.h"
#include "server/generation_request.h"
#include "server/prepare.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/tokenizer.h"

namespace erne::server {

// A token of the reply with its score.
struct ScoredToken {
  TokenId id = 0;
  std::optional<float> logprob;          // none for a prompt's first token, which nothing predicts
  std::vector<sched::TokenLogprob> top;  // best first
  int64_t text_offset = 0;               // in characters, where the token's text begins
};

// What a choice gained.
struct Piece {
  std::string text;                 // whole characters, after stop strings
  std::vector<TokenId> token_ids;   // generated
  std::vector<ScoredToken> scores;  // if logprobs were asked for; the echoed prompt's first
  std::vector<ScoredToken> prompt;  // if prompt_logprobs were: the whole prompt, once
  std::optional<std::string_view> finish_reason;  // "stop" or "length"; the last piece has it

  bool empty() const {
    return text.empty() && token_ids.empty() && scores.empty() && prompt.empty() && !finish_reason;
  }
};

class Choice {
 public:
  // All outlive this; `tokenizer` may be null.
  Choice(const GenerationRequest& request, const PreparedPrompt& prompt,
         const std::vector<TokenId>& eos_ids, const text::Tokenizer* tokenizer);

  // An event without error. Once finished, more are ignored.
  void push(const sched::TokenEvent& event);
  bool finished() const { return finished_; }
  // What push() has gained since the last call.
  Piece take() { return std::exchange(piece_, {}); }
  int num_generated() const { return num_generated_; }

 private:
  void push_prompt();
  void push_token(TokenId id, const sched::PositionLogprobs* logprobs, bool shown);
  void finish(sched::FinishReason reason);
  bool is_hidden_end(TokenId id) const;
  ScoredToken scored(TokenId id, const sched::PositionLogprobs* logprobs, int num_top);

  const GenerationRequest& request_;
  const PreparedPrompt& prompt_;
  const std::vector<TokenId>& eos_ids_;
  const text::Tokenizer* const tokenizer_;
  std::optional<text::Detokenizer> detokenizer_;
  text::StopMatcher stops_;
  std::vector<sched::PositionLogprobs> prompt_logprobs_;
  Piece piece_;
  int64_t num_characters_ = 0;  // begun by the tokens so far
  int num_generated_ = 0;
  bool prompt_pushed_ = false;
  bool finished_ = false;
};

}  // namespace erne::server
