#include "text/stop_matcher.h"

#include <algorithm>

#include "base/check.h"

namespace erne::text {
namespace {

std::vector<size_t> borders(std::string_view text) {
  std::vector<size_t> border(text.size() + 1, 0);
  size_t length = 0;
  for (size_t n = 2; n <= text.size(); ++n) {
    while (length > 0 && text[n - 1] != text[length]) length = border[length];
    if (text[n - 1] == text[length]) ++length;
    border[n] = length;
  }
  return border;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : include_stop_(include_stop) {
  for (std::string& stop : stops) {
    CHECK(!stop.empty());
    std::vector<size_t> border = borders(stop);
    patterns_.push_back({std::move(stop), std::move(border)});
  }
}

// A match ends the search, so that progress is below the text's length here.
void StopMatcher::Pattern::step(char c) {
  while (progress > 0 && text[progress] != c) progress = border[progress];
  if (text[progress] == c) ++progress;
}

std::string_view StopMatcher::push(std::string_view text) {
  safe_.clear();
  if (matched()) return safe_;
  held_ += text;
  size_t longest_beginning = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    longest_beginning = 0;
    for (size_t p = 0; p < patterns_.size(); ++p) {
      Pattern& pattern = patterns_[p];
      pattern.step(text[i]);
      const bool is_complete = pattern.progress == pattern.text.size();
      const bool is_longest = !matched() || pattern.text.size() > matched_stop().size();
      if (is_complete && is_longest) match_ = p;
      longest_beginning = std::max(longest_beginning, pattern.progress);
    }
    if (matched()) {
      const size_t end = held_.size() - (text.size() - i - 1);
      safe_.assign(held_, 0, include_stop_ ? end : end - matched_stop().size());
      held_.clear();
      return safe_;
    }
  }
  if (text.empty()) return safe_;
  safe_.assign(held_, 0, held_.size() - longest_beginning);
  held_.erase(0, safe_.size());
  return safe_;
}

std::string_view StopMatcher::finish() {
  safe_ = matched() ? std::string() : std::move(held_);
  held_.clear();
  return safe_;
}

const std::string& StopMatcher::matched_stop() const {
  CHECK(matched());
  return patterns_[*match_].text;
}

}  // namespace erne::text
