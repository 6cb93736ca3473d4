// What a request allows its output to be: a thought, which may be limited, then an answer, which
// may have a grammar. Made by whoever prepares the request; neither the scheduler nor the executor
// looks into it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "grammar/grammar.h"
#include "sample/constraint.h"
#include "sched/request.h"

namespace erne::grammar {

// The output begins inside a thought, which ends with a token of its own.
struct ThoughtRules {
  TokenId end = 0;
  // After so many tokens of thought these must come; the last of them is `end`.
  std::optional<int> max_tokens;
  std::vector<TokenId> closing;
};

struct AnswerRules final : sched::RequestNotes {
  std::optional<ThoughtRules> thought;
  std::shared_ptr<const Grammar> grammar;  // of what comes after the thought; null: anything may

  // With a grammar, these decide when the output ends, and the request's StopRules do not: they
  // have neither min_new_tokens nor ignore_eos then.
  std::vector<TokenId> end_ids;  // each ends the output; allowed where the grammar may end
  int min_tokens = 0;            // before as many no end, unless the grammar leaves nothing else
  bool ends_late = false;        // no end at all unless the grammar leaves nothing else
};

// The constraint of a request; null where it has no AnswerRules.
std::unique_ptr<sample::Constraint> make_constraint(const sched::Request& request);

class AnswerConstraint final : public sample::Constraint {
 public:
  explicit AnswerConstraint(std::shared_ptr<const AnswerRules> rules);

  void accept(std::span<const TokenId> tokens) override;
  void rollback(int num_tokens) override;
  std::span<const uint32_t> allowed() override;
  std::vector<TokenId> likely() override;
  const std::optional<Status>& failure() const override { return failure_; }

 private:
  bool must_close() const;
  bool is_end(TokenId token) const;
  void accept(TokenId token);
  void keep(const Result<void>& result);
  std::span<const uint32_t> allowed_in_thought();
  std::span<const uint32_t> allowed_by_grammar();
  std::span<const uint32_t> allow_nothing_but(std::span<const TokenId> tokens);
  void allow(std::span<const TokenId> tokens, bool may_come);
  bool allows_any() const;

  const std::shared_ptr<const AnswerRules> rules_;
  std::optional<Matcher> matcher_;
  bool in_thought_;
  int num_thought_ = 0;  // tokens of the thought, its end among them
  int num_answer_ = 0;   // after it, without the end
  int num_ends_ = 0;     // tokens that end the output
  std::vector<uint32_t> mask_;
  std::optional<Status> failure_;
};

}  // namespace erne::grammar
