#include "exec/row_sampler.h"

#include <vector>

#include "base/check.h"

namespace erne::exec {
namespace {

std::unique_ptr<SamplingState> make_state(const sched::Request& request,
                                          const ConstraintMaker& make_constraint) {
  auto state = std::make_unique<SamplingState>();
  if (sample::counts_tokens(request.sampling)) state->counts.emplace(request.prompt);
  if (make_constraint) state->constraint = make_constraint(request);
  return state->counts || state->constraint ? std::move(state) : nullptr;
}

void accept(SamplingState& state, std::span<const sched::TokenId> tokens) {
  if (state.counts) state.counts->accept(tokens);
  if (state.constraint) state.constraint->accept(tokens);
  state.num_followed += static_cast<int>(tokens.size());
}

void rollback(SamplingState& state, int num_tokens) {
  if (state.counts) state.counts->rollback(num_tokens);
  if (state.constraint) state.constraint->rollback(num_tokens);
  state.num_followed -= num_tokens;
}

}  // namespace

RowSampler::RowSampler(const sched::Sequence& sequence,
                       std::unique_ptr<sched::ExecutorNotes>& notes,
                       const ConstraintMaker& make_constraint)
    : sequence_(sequence) {
  if (notes == nullptr) notes = make_state(sequence.request, make_constraint);
  state_ = static_cast<SamplingState*>(notes.get());
  if (state_ != nullptr) follow();
}

void RowSampler::follow() {
  const int surplus = state_->num_followed - sequence_.generated();
  if (surplus > 0) rollback(*state_, surplus);
  const std::span output = std::span(sequence_.tokens).subspan(sequence_.prompt_size());
  if (surplus < 0) accept(*state_, output.subspan(state_->num_followed));
}

bool RowSampler::needs_only_draws() const {
  const sched::Request& request = sequence_.request;
  return state_ == nullptr && request.sampling.logprobs < 0 &&
         !sample::changes_logits({request.sampling, request.stop, history({})});
}

Result<void> RowSampler::prepare() {
  if (state_ == nullptr || !state_->constraint) return {};
  allowed_ = state_->constraint->allowed();
  const std::optional<Status>& failure = state_->constraint->failure();
  if (failure) return *failure;
  return {};
}

std::vector<sched::TokenId> RowSampler::likely() const {
  if (state_ == nullptr || !state_->constraint) return {};
  return state_->constraint->likely();
}

sched::TokenId RowSampler::choose(std::span<float> logits, const sample::Best& best,
                                  std::span<const sched::TokenId> accepted,
                                  std::vector<sched::PositionLogprobs>& logprobs) {
  const sched::Request& request = sequence_.request;
  sample::Draw draw{request.sampling, request.stop, history(accepted)};
  if (state_ != nullptr) {
    CHECK_EQ(state_->num_followed, draw.history.generated());
    if (state_->counts) draw.counts = &*state_->counts;
    draw.allowed = allowed_;
  }
  const bool wants_logprobs = request.sampling.logprobs >= 0;
  std::vector<float> own;  // log-probabilities are of the model's own logits
  if (wants_logprobs && sample::changes_logits(draw)) own.assign(logits.begin(), logits.end());
  const sched::TokenId token = sample::choose_token(logits, best, draw);
  if (wants_logprobs) {
    const std::span<const float> scored = own.empty() ? logits : own;
    logprobs.push_back(sample::logprobs(scored, best, token, request.sampling.logprobs));
  }
  if (state_ != nullptr) accept(*state_, {&token, 1});
  return token;
}

}  // namespace erne::exec
