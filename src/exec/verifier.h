// Decides which drafts of a row hold. A draft is accepted while it equals the token that is sampled
// in its place, so drafts change the speed and never a token: what they save is that the logits of
// all of them come from one forward.
#pragma once

#include <span>
#include <vector>

#include "sched/request.h"

namespace erne::exec {

class Verifier {
 public:
  // `drafts` follow the row's last verified token, and outlive the verifier.
  explicit Verifier(std::span<const sched::TokenId> drafts) : drafts_(drafts) {}

  // Whether the next token is to be sampled: from the logits after all that was accepted.
  bool wants_token() const { return !is_over_; }
  // That token. It is accepted; and if it is not the next draft, the others are rejected.
  void take(sched::TokenId token);

  // The drafts that held, and one token after them.
  std::span<const sched::TokenId> accepted() const { return accepted_; }

 private:
  const std::span<const sched::TokenId> drafts_;
  std::vector<sched::TokenId> accepted_;
  bool is_over_ = false;
};

}  // namespace erne::exec
