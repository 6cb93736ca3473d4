// What a request allows its next token to be, as state that follows the request's output: a grammar
// has a place here. One constraint belongs to one sequence; one thread at a time calls it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "sched/request.h"

namespace erne::sample {

class Constraint {
 public:
  virtual ~Constraint() = default;
  // The output has grown by these tokens.
  virtual void accept(std::span<const sched::TokenId> tokens) = 0;
  // The newest tokens were taken back: never more than have been accepted.
  virtual void rollback(int num_tokens) = 0;
  // Which tokens may come next: bit t % 32 of word t / 32 stands for token t, and tokens beyond the
  // last word may not come. Empty: all may. Valid until the next call of accept or rollback. The
  // first call after one of them may take a while: make it before the answer is needed.
  virtual std::span<const uint32_t> allowed() = 0;
  // Tokens that may come next for want of a choice, to be drafted. They bind nobody.
  virtual std::vector<sched::TokenId> likely() { return {}; }
  // Why the output cannot go on, if so; asked after allowed().
  virtual const std::optional<Status>& failure() const {
    static const std::optional<Status> kNone;
    return kNone;
  }
};

}  // namespace erne::sample
