#include "server/parsers/tagged_parser.h"

#include <algorithm>
#include <utility>

namespace erne::server {
namespace {

constexpr std::string_view kSpace = " \n\r\t";

size_t leading_space(std::string_view text) {
  return std::min(text.find_first_not_of(kSpace), text.size());
}

// A text that is shorter than the tag and may become it.
bool may_become(std::string_view text, std::string_view tag) {
  return text.size() < tag.size() && tag.starts_with(text);
}

// How much of the text is certain to lie before the tag, wherever that begins.
size_t size_before(std::string_view text, std::string_view tag) {
  const size_t found = text.find(tag);
  if (found != std::string_view::npos) return found;
  size_t held = std::min(text.size(), tag.size() - 1);
  while (held > 0 && !tag.starts_with(text.substr(text.size() - held))) --held;
  return text.size() - held;
}

}  // namespace

TaggedParser::TaggedParser(TagStyle style, bool thinking, std::function<std::string()> make_id)
    : style_(style),
      make_id_(std::move(make_id)),
      state_(style.thoughts && thinking ? State::kBeforeThought : State::kBetween),
      calls_allowed_(style.calls) {}

bool TaggedParser::thinking() const {
  return state_ == State::kBeforeThought || state_ == State::kThought;
}

Delta TaggedParser::push(std::string_view text) {
  Delta out;
  text_ += text;
  while (!text_.empty() && take(out)) {
  }
  return out;
}

bool TaggedParser::take(Delta& out) {
  switch (state_) {
    case State::kBeforeThought:
      return take_opening();
    case State::kThought:
      return take_until(kThinkEnd, State::kBetween, out.reasoning);
    case State::kBetween:
      return take_between(out);
    case State::kResponse:
      return take_until(kResponseEnd, State::kBetween, out.content);
    case State::kAnswer:
      out.content += std::exchange(text_, {});
      return true;
    case State::kCall:
      return take_call(out);
  }
  return false;
}

bool TaggedParser::take_opening() {
  const size_t space = leading_space(text_);
  const std::string_view rest = std::string_view(text_).substr(space);
  if (may_become(rest, kThink)) return false;
  if (rest.starts_with(kThink)) text_.erase(0, space + kThink.size());
  state_ = State::kThought;
  return true;
}

bool TaggedParser::take_until(std::string_view tag, State next, std::string& to) {
  const size_t size = size_before(text_, tag);
  to.append(text_, 0, size);
  text_.erase(0, size);
  if (!text_.starts_with(tag)) return size > 0;
  text_.erase(0, tag.size());
  state_ = next;
  return true;
}

bool TaggedParser::take_between(Delta& out) {
  const size_t space = leading_space(text_);
  blank_.append(text_, 0, space);
  text_.erase(0, space);
  if (text_.empty()) return true;
  if (style_.response && (text_.starts_with(kResponse) || may_become(text_, kResponse))) {
    if (!text_.starts_with(kResponse)) return false;
    text_.erase(0, kResponse.size());
    state_ = State::kResponse;
    calls_allowed_ = false;  // a call stands in an answer's place
  } else if (calls_allowed_ && (text_.starts_with(kCall) || may_become(text_, kCall))) {
    if (!text_.starts_with(kCall)) return false;
    text_.erase(0, kCall.size());
    call_text_ = kCall;
    call_.emplace();
    call_told_ = false;
    state_ = State::kCall;
  } else {
    out.content += blank_;
    state_ = State::kAnswer;
  }
  blank_.clear();
  return true;
}

bool TaggedParser::take_call(Delta& out) {
  size_t taken = 0;
  const auto at_tag = [&] { return text_[taken] == '<' && !call_->in_string(); };
  while (taken < text_.size() && !at_tag() && call_->push(text_[taken])) ++taken;
  const bool may_end = taken < text_.size() && at_tag();
  if (!call_told_) call_text_.append(text_, 0, taken);
  text_.erase(0, taken);
  tell_call(out);
  if (text_.empty()) return true;
  if (may_end && may_become(text_, kCallEnd)) return false;
  if (may_end && text_.starts_with(kCallEnd) && call_->finish()) {
    text_.erase(0, kCallEnd.size());
    tell_call(out);
    ++num_calls_;
    state_ = State::kBetween;
  } else {
    leave_call(out);
  }
  return true;
}

void TaggedParser::tell_call(Delta& out) {
  if (!call_->begun()) return;
  ToolCallDelta gained{num_calls_, {}, {}, call_->take_arguments()};
  if (!std::exchange(call_told_, true)) {
    gained.id = make_id_();
    gained.name = call_->name();
    call_text_.clear();
  }
  if (gained.arguments.empty()) return;
  Delta delta;
  delta.tool_calls.push_back(std::move(gained));
  out.append(std::move(delta));
}

// It is none, or none any more.
void TaggedParser::leave_call(Delta& out) {
  out.content += std::exchange(call_text_, {});
  state_ = State::kAnswer;
}

Delta TaggedParser::finish() {
  Delta out;
  if (state_ == State::kCall) {
    if (call_->finish()) {
      tell_call(out);
      return out;
    }
    leave_call(out);
  }
  (thinking() ? out.reasoning : out.content) += text_;
  return out;
}

}  // namespace erne::server
