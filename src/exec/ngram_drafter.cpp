#include "exec/ngram_drafter.h"

#include <algorithm>

namespace erne::exec {
namespace {

// How many tokens up to `end` equal those at the end of the history; at most `most`.
int common_ending(const sample::History& history, int end, int most) {
  int length = 0;
  while (length < std::min(end, most) &&
         history[end - 1 - length] == history[history.size() - 1 - length])
    ++length;
  return length;
}

}  // namespace

std::vector<sched::TokenId> NgramDrafter::propose(const sample::History& history) const {
  int best_length = options_.shortest - 1, best_end = 0;
  for (int end = history.size() - 1; end > 0 && best_length < options_.longest; --end) {
    const int length = common_ending(history, end, options_.longest);
    if (length <= best_length) continue;
    best_length = length;
    best_end = end;
  }
  std::vector<sched::TokenId> drafts;
  if (best_end == 0) return drafts;
  // What came after it and, where that reaches the end, what is proposed to come then: a text that
  // goes in a circle goes on in it.
  const auto at = [&](int i) {
    return i < history.size() ? history[i] : drafts[i - history.size()];
  };
  for (int i = 0; i < options_.max_drafts; ++i) drafts.push_back(at(best_end + i));
  return drafts;
}

}  // namespace erne::exec
