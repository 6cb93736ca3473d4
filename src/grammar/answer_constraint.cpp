#include "grammar/answer_constraint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace erne::grammar {
namespace {

constexpr size_t kMaxForcedBytes = 64;  // of one proposal

}  // namespace

std::unique_ptr<sample::Constraint> make_constraint(const sched::Request& request) {
  auto rules = std::dynamic_pointer_cast<const AnswerRules>(request.notes);
  if (rules == nullptr) return nullptr;
  return std::make_unique<AnswerConstraint>(std::move(rules));
}

AnswerConstraint::AnswerConstraint(std::shared_ptr<const AnswerRules> rules)
    : rules_(std::move(rules)), in_thought_(rules_->thought.has_value()) {
  if (!rules_->grammar) return;
  matcher_.emplace(*rules_->grammar);
  mask_.resize(rules_->grammar->vocabulary().num_mask_words());
}

// A failure stays: what the matcher makes of later tokens means nothing.
void AnswerConstraint::keep(const Result<void>& result) {
  if (!result.ok() && !failure_) failure_ = result.status();
}

bool AnswerConstraint::is_end(TokenId token) const {
  return std::ranges::find(rules_->end_ids, token) != rules_->end_ids.end();
}

bool AnswerConstraint::must_close() const {
  const std::optional<ThoughtRules>& thought = rules_->thought;
  return in_thought_ && thought->max_tokens && num_thought_ >= *thought->max_tokens;
}

void AnswerConstraint::accept(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) accept(token);
}

void AnswerConstraint::accept(TokenId token) {
  if (in_thought_) {
    ++num_thought_;
    in_thought_ = token != rules_->thought->end;
  } else if (num_ends_ > 0 || (matcher_ && is_end(token))) {
    ++num_ends_;
  } else {
    ++num_answer_;
    if (matcher_ && !failure_) keep(matcher_->accept(token));
  }
}

void AnswerConstraint::rollback(int num_tokens) {
  const int ends = std::min(num_tokens, num_ends_);
  num_ends_ -= ends;
  const int answer = std::min(num_tokens - ends, num_answer_);
  num_answer_ -= answer;
  if (matcher_ && !failure_) keep(matcher_->rollback(answer));
  const int thought = num_tokens - ends - answer;
  CHECK_LE(thought, num_thought_);
  num_thought_ -= thought;
  if (thought > 0) in_thought_ = true;
}

std::span<const uint32_t> AnswerConstraint::allowed() {
  if (failure_) return {};
  if (in_thought_) return allowed_in_thought();
  if (!matcher_) return {};
  return num_ends_ > 0 ? allow_nothing_but(rules_->end_ids) : allowed_by_grammar();
}

std::span<const uint32_t> AnswerConstraint::allowed_in_thought() {
  const ThoughtRules& thought = *rules_->thought;
  if (must_close()) {
    const auto next = static_cast<size_t>(num_thought_ - *thought.max_tokens);
    return allow_nothing_but(std::span(thought.closing).subspan(next, 1));
  }
  if (!matcher_) return {};
  std::ranges::fill(mask_, ~uint32_t{0});
  allow(rules_->end_ids, false);  // the answer is still to come
  return mask_;
}

std::span<const uint32_t> AnswerConstraint::allowed_by_grammar() {
  const Result<Matcher::Mask> mask = matcher_->mask();
  if (!mask.ok()) {
    failure_ = mask.status();
    return {};
  }
  mask_.assign(mask->words.begin(), mask->words.end());
  const bool may_stop = num_thought_ + num_answer_ >= rules_->min_tokens && !rules_->ends_late;
  if (!may_stop) allow(rules_->end_ids, false);
  if (mask->may_end && (may_stop || !allows_any())) allow(rules_->end_ids, true);
  if (!allows_any()) mask_.assign(mask->words.begin(), mask->words.end());  // a stop token alone
  if (!allows_any())
    failure_ = Status{Code::kInternal, "the answer's grammar allows no token here"};
  return mask_;
}

std::span<const uint32_t> AnswerConstraint::allow_nothing_but(std::span<const TokenId> tokens) {
  const auto largest = tokens.empty() ? 0 : *std::ranges::max_element(tokens);
  mask_.resize(std::max(mask_.size(), static_cast<size_t>(largest) / 32 + 1));
  std::ranges::fill(mask_, 0);
  allow(tokens, true);
  return mask_;
}

void AnswerConstraint::allow(std::span<const TokenId> tokens, bool may_come) {
  for (const TokenId token : tokens) {
    const auto word = static_cast<size_t>(token) / 32;
    if (word >= mask_.size()) continue;
    const uint32_t bit = uint32_t{1} << (token % 32);
    mask_[word] = may_come ? mask_[word] | bit : mask_[word] & ~bit;
  }
}

bool AnswerConstraint::allows_any() const {
  return std::ranges::any_of(mask_, [](uint32_t word) { return word != 0; });
}

std::vector<TokenId> AnswerConstraint::likely() {
  if (must_close()) {
    const std::span rest =
        std::span(rules_->thought->closing).subspan(num_thought_ - *rules_->thought->max_tokens);
    return {rest.begin(), rest.end()};
  }
  if (in_thought_ || !matcher_ || num_ends_ > 0 || failure_) return {};
  const std::string forced = matcher_->forced();
  if (forced.size() < 2) return {};  // less than two tokens
  return rules_->grammar->vocabulary().tokens_within(
      std::string_view(forced).substr(0, kMaxForcedBytes));
}

}  // namespace erne::grammar
