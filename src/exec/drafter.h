// The port to whatever guesses how a text goes on. Guesses, called drafts, are verified in the next
// step beside the tokens that are certain; a wrong one costs time and never changes a token.
#pragma once

#include <vector>

#include "sample/sampler.h"

namespace erne::exec {

class Drafter {
 public:
  virtual ~Drafter() = default;
  // The tokens that may come after `history`, in their order; empty: no idea. Called for several
  // sequences at once, on several threads.
  virtual std::vector<sched::TokenId> propose(const sample::History& history) const = 0;
};

}  // namespace erne::exec
