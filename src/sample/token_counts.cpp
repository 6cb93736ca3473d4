#include "sample/token_counts.h"

#include "base/check.h"

namespace erne::sample {

TokenCounts::TokenCounts(std::span<const sched::TokenId> prompt) {
  for (sched::TokenId token : prompt) ++entry(token).in_prompt;
}

void TokenCounts::accept(std::span<const sched::TokenId> tokens) {
  for (sched::TokenId token : tokens) {
    ++entry(token).in_output;
    output_.push_back(token);
  }
}

void TokenCounts::rollback(int num_tokens) {
  CHECK_LE(num_tokens, static_cast<int>(output_.size()));
  for (int i = 0; i < num_tokens; ++i) {
    --entry(output_.back()).in_output;
    output_.pop_back();
  }
}

TokenCounts::Entry& TokenCounts::entry(sched::TokenId token) {
  const auto [place, is_new] = places_.try_emplace(token, entries_.size());
  if (is_new) entries_.push_back({.token = token});
  return entries_[place->second];
}

}  // namespace erne::sample
