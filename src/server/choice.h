// One of a request's outputs while it grows: the engine's events in, deltas of the reply out. The
// way of a token's text: detokenizer, parser, stop matcher, delta.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sched/request.h"
#include "server/delta.h"
#include "server/delta_parser.h"
#include "server/generation_request.h"
#include "server/prepare.h"
#include "server/text_offsets.h"
#include "text/stop_matcher.h"
#include "text/tokenizer.h"

namespace erne::server {

class Choice {
 public:
  // All references outlive this; `tokenizer` may be null. `shown`: tokens whose text the parser
  // needs even where they count as special.
  Choice(const GenerationRequest& request, const PreparedPrompt& prompt,
         const std::vector<TokenId>& eos_ids, const text::Tokenizer* tokenizer,
         std::unique_ptr<DeltaParser> parser = std::make_unique<DeltaParser>(),
         std::span<const TokenId> shown = {});

  // An event without error. Once finished, more are ignored.
  void push(const sched::TokenEvent& event);
  bool finished() const { return finished_; }
  // Scores of the prompt that came with another choice's events, before this one's first token.
  void push_prompt_scores(const std::vector<sched::PositionLogprobs>& scores);
  // Whether all that is said about the prompt has been.
  bool has_prompt() const { return prompt_pushed_; }
  // What push() has gained since the last call.
  Delta take() { return std::exchange(delta_, {}); }
  int num_generated() const { return num_generated_; }
  int num_thought() const { return num_thought_; }  // of them, to the end of a thought

 private:
  void push_prompt();
  void push_token(TokenId id, const sched::PositionLogprobs* logprobs, bool shown);
  void push_text(std::string_view text);
  void take_parsed(Delta parsed);
  void release_scores();
  void finish(sched::FinishReason reason);
  bool is_hidden_end(TokenId id) const;

  const GenerationRequest& request_;
  const PreparedPrompt& prompt_;
  const std::vector<TokenId>& eos_ids_;
  std::optional<CountingDetokenizer> detokenizer_;
  const std::unique_ptr<DeltaParser> parser_;
  text::StopMatcher stops_;
  std::vector<sched::PositionLogprobs> prompt_logprobs_;
  std::vector<ScoredToken> held_scores_;  // of text that may yet be cut off
  Delta delta_;
  int64_t num_shown_ = 0;  // characters that have gone into deltas
  int num_generated_ = 0;
  int num_thought_ = 0;
  bool prompt_pushed_ = false;
  bool has_called_ = false;  // a tool
  bool finished_ = false;
};

}  // namespace erne::server
