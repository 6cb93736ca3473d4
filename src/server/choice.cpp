#include "server/choice.h"

#include <algorithm>

namespace erne::server {
namespace {

bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Choice::Choice(const GenerationRequest& request, const PreparedPrompt& prompt,
               const std::vector<TokenId>& eos_ids, const text::Tokenizer* tokenizer)
    : request_(request),
      prompt_(prompt),
      eos_ids_(eos_ids),
      tokenizer_(tokenizer),
      stops_(request.stop, request.include_stop_str_in_output) {
  if (tokenizer != nullptr) detokenizer_.emplace(*tokenizer, request.skip_special_tokens);
}

void Choice::push(const sched::TokenEvent& event) {
  if (finished_) return;
  prompt_logprobs_.insert(prompt_logprobs_.end(), event.prompt_logprobs.begin(),
                          event.prompt_logprobs.end());
  if (!prompt_pushed_ && (!event.tokens.empty() || event.finish)) push_prompt();
  for (size_t i = 0; i < event.tokens.size() && !finished_; ++i) {
    const bool last = event.finish == sched::FinishReason::kStop && i + 1 == event.tokens.size();
    const auto* logprobs = i < event.logprobs.size() ? &event.logprobs[i] : nullptr;
    push_token(event.tokens[i], logprobs, !(last && is_hidden_end(event.tokens[i])));
  }
  if (event.finish && !finished_) finish(*event.finish);
}

void Choice::push_prompt() {
  prompt_pushed_ = true;
  const auto score_all = [&](std::vector<ScoredToken>& out, int num_top) {
    for (size_t i = 0; i < prompt_.ids.size(); ++i) {
      const bool has = i > 0 && i - 1 < prompt_logprobs_.size();
      out.push_back(scored(prompt_.ids[i], has ? &prompt_logprobs_[i - 1] : nullptr, num_top));
    }
  };
  if (request_.echo && request_.sampling.logprobs >= 0)
    score_all(piece_.scores, request_.sampling.logprobs);
  if (request_.prompt_logprobs_asked >= 0) score_all(piece_.prompt, request_.prompt_logprobs_asked);
  if (request_.echo) {
    piece_.text += prompt_.text;
    num_characters_ = std::count_if(prompt_.text.begin(), prompt_.text.end(),
                                    [](char byte) { return !continues_character(byte); });
  } else {
    num_characters_ = 0;
  }
  prompt_logprobs_ = {};
}

void Choice::push_token(TokenId id, const sched::PositionLogprobs* logprobs, bool shown) {
  ++num_generated_;
  piece_.token_ids.push_back(id);
  if (request_.sampling.logprobs >= 0)
    piece_.scores.push_back(scored(id, logprobs, request_.sampling.logprobs));
  if (!detokenizer_ || !shown) return;
  piece_.text += stops_.push(detokenizer_->push(id));
  if (stops_.matched()) finish(sched::FinishReason::kStop);
}

void Choice::finish(sched::FinishReason reason) {
  finished_ = true;
  if (detokenizer_ && !stops_.matched()) {
    piece_.text += stops_.push(detokenizer_->finish());
    piece_.text += stops_.finish();
  }
  const bool cut = reason == sched::FinishReason::kLength && !stops_.matched();
  piece_.finish_reason = cut ? "length" : "stop";
}

// The token that ended the sequence is no part of its text, unless asked for like a stop string.
bool Choice::is_hidden_end(TokenId id) const {
  if (request_.include_stop_str_in_output) return false;
  return contains(eos_ids_, id) || contains(request_.stop_token_ids, id);
}

ScoredToken Choice::scored(TokenId id, const sched::PositionLogprobs* logprobs, int num_top) {
  ScoredToken out{.id = id, .logprob = {}, .top = {}, .text_offset = num_characters_};
  if (logprobs != nullptr) {
    out.logprob = logprobs->chosen.logprob;
    const size_t count = std::min<size_t>(num_top, logprobs->top.size());
    out.top.assign(logprobs->top.begin(), logprobs->top.begin() + count);
  }
  if (tokenizer_ == nullptr || (request_.skip_special_tokens && tokenizer_->is_special(id)))
    return out;
  const std::string_view bytes = tokenizer_->token_bytes(id);
  if (!bytes.empty() && continues_character(bytes[0]) && out.text_offset > 0) --out.text_offset;
  num_characters_ += std::count_if(bytes.begin(), bytes.end(),
                                   [](char byte) { return !continues_character(byte); });
  return out;
}

}  // namespace erne::server
