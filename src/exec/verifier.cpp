#include "exec/verifier.h"

#include "base/check.h"

namespace erne::exec {

void Verifier::take(sched::TokenId token) {
  CHECK(!is_over_);
  const size_t place = accepted_.size();
  accepted_.push_back(token);
  is_over_ = place == drafts_.size() || token != drafts_[place];
}

}  // namespace erne::exec
