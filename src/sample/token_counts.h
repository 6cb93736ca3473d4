// How often each token occurs in a sequence, kept while the sequence grows: a penalty then costs a
// look at the different tokens it has, and no copy or sort of all of them for every token drawn.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "sched/request.h"

namespace erne::sample {

class TokenCounts {
 public:
  struct Entry {
    sched::TokenId token = 0;
    int in_prompt = 0, in_output = 0;  // both 0 once what brought it here was rolled back
  };

  explicit TokenCounts(std::span<const sched::TokenId> prompt);

  // The output has grown by these tokens.
  void accept(std::span<const sched::TokenId> tokens);
  // The newest tokens of the output were taken back: never more than have been accepted.
  void rollback(int num_tokens);

  // One for every different token, in the order in which they first came.
  std::span<const Entry> entries() const { return entries_; }

 private:
  Entry& entry(sched::TokenId token);

  std::vector<Entry> entries_;
  std::unordered_map<sched::TokenId, size_t> places_;  // in entries_
  std::vector<sched::TokenId> output_;                 // for rollback
};

}  // namespace erne::sample
