// Drafts without a model: looks for an earlier place in the sequence that ends as the sequence does
// now, and proposes what came after it. Good where an answer repeats its prompt: code that is
// edited, a text that is quoted, lists.
#pragma once

#include "exec/drafter.h"

namespace erne::exec {

struct NgramOptions {
  int max_drafts = 1;  // tokens to propose at most
  // The longest ending that is compared. Of two places the one with the longer common ending
  // counts, and of two with as long a one the later.
  int longest = 5;
  int shortest = 2;  // with less in common there is no proposal
};

class NgramDrafter final : public Drafter {
 public:
  explicit NgramDrafter(const NgramOptions& options) : options_(options) {}
  std::vector<sched::TokenId> propose(const sample::History& history) const override;

 private:
  const NgramOptions options_;
};

}  // namespace erne::exec
