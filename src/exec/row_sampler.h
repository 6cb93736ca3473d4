// Chooses the tokens of one sequence, one after the other, and keeps what that needs between steps:
// running counts of its tokens for penalties, and the state of its constraint. Both follow the
// sequence: what was sampled is accepted at once, and what the scheduler did not keep of it is
// rolled back when the sequence comes again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/status.h"
#include "sample/constraint.h"
#include "sample/sampler.h"
#include "sched/sequence.h"

namespace erne::exec {

// The constraint of a request; null: it has none.
using ConstraintMaker =
    std::function<std::unique_ptr<sample::Constraint>(const sched::Request& request)>;

// What is kept for a sequence with penalties or a constraint; others have no notes.
struct SamplingState final : sched::ExecutorNotes {
  std::optional<sample::TokenCounts> counts;
  std::unique_ptr<sample::Constraint> constraint;
  int num_followed = 0;  // tokens of the output that both know
};

// One sequence in one step. For one thread at a time; different sequences know nothing of each
// other.
class RowSampler {
 public:
  // Brings the notes up to the sequence as it is now, or makes them. All arguments outlive it;
  // `make_constraint` may be empty.
  RowSampler(const sched::Sequence& sequence, std::unique_ptr<sched::ExecutorNotes>& notes,
             const ConstraintMaker& make_constraint);

  // Whether the tokens are those of sample::token_draw() at their positions, and nothing else is
  // wanted.
  bool needs_only_draws() const;

  // Brings the constraint's mask up to what has been accepted. kInternal: the sequence cannot go
  // on.
  Result<void> prepare();
  // Samples, after prepare(), from `logits` [V], which are scratch, the token after the sequence's
  // own and `accepted`, those that this step has sampled before. Its log-probabilities, if the
  // request wants them, go to `logprobs`.
  sched::TokenId choose(std::span<float> logits, const sample::Best& best,
                        std::span<const sched::TokenId> accepted,
                        std::vector<sched::PositionLogprobs>& logprobs);
  // What the constraint leaves no choice about, after what was chosen last.
  std::vector<sched::TokenId> likely() const;

 private:
  void follow();
  sample::History history(std::span<const sched::TokenId> accepted) const {
    return {sequence_.tokens, sequence_.prompt_size(), accepted};
  }

  const sched::Sequence& sequence_;
  SamplingState* state_ = nullptr;  // null: the sequence needs none
  std::span<const uint32_t> allowed_;
};

}  // namespace erne::exec
