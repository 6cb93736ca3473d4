#include "server/choice.h"

#include <algorithm>

namespace erne::server {
namespace {

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

ScoredToken scored(TokenId id, const sched::PositionLogprobs* logprobs, int num_top,
                   int64_t offset) {
  ScoredToken out{.id = id, .logprob = {}, .top = {}, .text_offset = offset};
  if (logprobs == nullptr) return out;
  out.logprob = logprobs->chosen.logprob;
  const size_t count = std::min<size_t>(num_top, logprobs->top.size());
  out.top.assign(logprobs->top.begin(), logprobs->top.begin() + static_cast<int64_t>(count));
  return out;
}

}  // namespace

Choice::Choice(const GenerationRequest& request, const PreparedPrompt& prompt,
               const std::vector<TokenId>& eos_ids, const text::Tokenizer* tokenizer,
               std::unique_ptr<DeltaParser> parser, std::span<const TokenId> shown)
    : request_(request),
      prompt_(prompt),
      eos_ids_(eos_ids),
      parser_(std::move(parser)),
      stops_(request.stop, request.include_stop_str_in_output) {
  const int64_t echoed = request.echo ? num_characters(prompt.text) : 0;
  if (tokenizer != nullptr)
    detokenizer_.emplace(*tokenizer, request.skip_special_tokens, echoed, shown);
}

void Choice::push(const sched::TokenEvent& event) {
  if (finished_) return;
  push_prompt_scores(event.prompt_logprobs);
  if (!prompt_pushed_ && (!event.tokens.empty() || event.finish)) push_prompt();
  for (size_t i = 0; i < event.tokens.size() && !finished_; ++i) {
    const bool last = event.finish == sched::FinishReason::kStop && i + 1 == event.tokens.size();
    const auto* logprobs = i < event.logprobs.size() ? &event.logprobs[i] : nullptr;
    push_token(event.tokens[i], logprobs, !(last && is_hidden_end(event.tokens[i])));
  }
  if (event.finish && !finished_) finish(*event.finish);
}

void Choice::push_prompt_scores(const std::vector<sched::PositionLogprobs>& scores) {
  prompt_logprobs_.insert(prompt_logprobs_.end(), scores.begin(), scores.end());
}

void Choice::push_prompt() {
  prompt_pushed_ = true;
  const auto score_all = [&](std::vector<ScoredToken>& out, int num_top) {
    for (size_t i = 0; i < prompt_.ids.size(); ++i) {
      const bool has = i > 0 && i - 1 < prompt_logprobs_.size();
      const int64_t offset = i < prompt_.text_offsets.size() ? prompt_.text_offsets[i] : 0;
      out.push_back(
          scored(prompt_.ids[i], has ? &prompt_logprobs_[i - 1] : nullptr, num_top, offset));
    }
  };
  if (request_.echo && request_.output_scores) score_all(delta_.scores, *request_.output_scores);
  if (request_.prompt_scores) score_all(delta_.prompt_scores, *request_.prompt_scores);
  if (request_.echo) {
    delta_.content += prompt_.text;
    num_shown_ += num_characters(prompt_.text);
  }
  prompt_logprobs_ = {};
}

void Choice::push_token(TokenId id, const sched::PositionLogprobs* logprobs, bool shown) {
  ++num_generated_;
  if (parser_->thinking()) ++num_thought_;
  if (request_.return_token_ids) delta_.token_ids.push_back(id);
  int64_t offset = 0;
  if (detokenizer_ && shown) {
    const CountingDetokenizer::Pushed pushed = detokenizer_->push(id);
    offset = pushed.offset;
    push_text(pushed.text);
  } else if (detokenizer_) {
    push_text(detokenizer_->finish());
    offset = detokenizer_->num_characters();
  }
  if (request_.output_scores)
    held_scores_.push_back(scored(id, logprobs, *request_.output_scores, offset));
  if (stops_.matched()) finish(sched::FinishReason::kStop);
  release_scores();
}

void Choice::push_text(std::string_view text) {
  if (!text.empty()) take_parsed(parser_->push(text));
}

void Choice::take_parsed(Delta parsed) {
  parsed.content = stops_.push(parsed.content);
  num_shown_ += num_characters(parsed.content);
  has_called_ = has_called_ || !parsed.tool_calls.empty();
  delta_.append(std::move(parsed));
}

// A score goes out once the text before its token has: a stop string may cut the text before, and
// no offset may lie behind the end. A chat's scores have no offsets.
void Choice::release_scores() {
  auto end = held_scores_.begin();
  if (finished_ || request_.endpoint == Endpoint::kChat) end = held_scores_.end();
  while (end != held_scores_.end() && end->text_offset <= num_shown_) ++end;
  for (auto score = held_scores_.begin(); score != end; ++score) {
    score->text_offset = std::min(score->text_offset, num_shown_);
    delta_.scores.push_back(std::move(*score));
  }
  held_scores_.erase(held_scores_.begin(), end);
}

void Choice::finish(sched::FinishReason reason) {
  finished_ = true;
  if (detokenizer_ && !stops_.matched()) {
    push_text(detokenizer_->finish());
    take_parsed(parser_->finish());
    const std::string_view rest = stops_.finish();
    num_shown_ += num_characters(rest);
    delta_.content += rest;
  }
  release_scores();
  const bool cut = reason == sched::FinishReason::kLength && !stops_.matched();
  if (stops_.matched()) delta_.stop = stops_.matched_stop();
  delta_.finish = cut ? Finish::kLength : has_called_ ? Finish::kToolCalls : Finish::kStop;
}

// The token that ended the sequence is no part of its text, unless asked for like a stop string.
bool Choice::is_hidden_end(TokenId id) const {
  if (request_.include_stop_str_in_output) return false;
  return contains(eos_ids_, id) || contains(request_.stop_token_ids, id);
}

}  // namespace erne::server
