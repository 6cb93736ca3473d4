// The parts of a step after its logits, with logits in the test's hands.
#include "exec/step_sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace erne::exec {
namespace {

using Tokens = std::vector<sched::TokenId>;
constexpr int kVocabulary = 10, kStride = 12;

// Writes down what it is told; allows every token but the one after the newest.
class ScriptedConstraint final : public sample::Constraint {
 public:
  explicit ScriptedConstraint(std::string& log) : log_(log) {}
  void accept(std::span<const sched::TokenId> tokens) override {
    for (const sched::TokenId token : tokens) {
      log_ += "+" + std::to_string(token);
      output_.push_back(token);
    }
    update();
  }
  void rollback(int num_tokens) override {
    log_ += "-" + std::to_string(num_tokens);
    output_.resize(output_.size() - num_tokens);
    update();
  }
  std::span<const uint32_t> allowed() override {
    log_ += "?";
    if (fails_after_ == output_.size()) failure_ = Status{Code::kInternal, "no way on"};
    return allowed_;
  }
  Tokens likely() override { return output_.size() < 3 ? Tokens{} : Tokens{1, 2}; }
  const std::optional<Status>& failure() const override { return failure_; }
  void fail_after(size_t num_tokens) { fails_after_ = num_tokens; }

 private:
  void update() {
    allowed_ = {~uint32_t{0}};
    if (!output_.empty()) allowed_[0] &= ~(uint32_t{1} << (output_.back() + 1));
  }
  std::string& log_;
  size_t fails_after_ = 99;
  std::optional<Status> failure_;
  Tokens output_;
  std::vector<uint32_t> allowed_ = {~uint32_t{0}};
};

class FixedDrafter final : public Drafter {
 public:
  Tokens propose(const sample::History& history) const override {
    return {history[history.size() - 1], history.size()};
  }
};

class StepSamplerTest : public testing::Test {
 protected:
  sched::Sequence& add(Tokens prompt, Tokens output = {}) {
    sched::Sequence& sequence = *sequences_.emplace_back(std::make_unique<sched::Sequence>());
    sequence.request.prompt = prompt;
    sequence.request.sampling.temperature = 0;
    sequence.request.stop.max_new_tokens = 100;
    sequence.tokens = std::move(prompt);
    sequence.tokens.insert(sequence.tokens.end(), output.begin(), output.end());
    return sequence;
  }
  // The sequence's next row: its tokens from `first`, then drafts.
  void plan_row(sched::Sequence& sequence, int first, const Tokens& drafts = {}) {
    const int begin = static_cast<int>(plan_.tokens.size());
    plan_.tokens.insert(plan_.tokens.end(), sequence.tokens.begin() + first, sequence.tokens.end());
    plan_.tokens.insert(plan_.tokens.end(), drafts.begin(), drafts.end());
    const int count = static_cast<int>(plan_.tokens.size()) - begin;
    plan_.rows.push_back({.first = first,
                          .count = count,
                          .drafts = static_cast<int>(drafts.size()),
                          .wants_token = true,
                          .wants_prompt_logprobs = sequence.wants_prompt_logprobs(),
                          .tokens = {begin, begin + count},
                          .blocks = {},
                          .sequence = &sequence,
                          .notes = &sequence.notes});
  }

  // The logits after a token of the plan: `likes` say which is best, the next lower id is second.
  std::vector<float> logits_after(sched::TokenId token) const {
    std::vector<float> logits(kStride, 100);  // padding must not be looked at
    for (int id = 0; id < kVocabulary; ++id) logits[id] = -static_cast<float>(id);
    const int best = (token + 1) % kVocabulary;
    logits[best] = 3;
    logits[(best + 4) % kVocabulary] = 2;
    if (token == nan_after) logits[best + 1] = std::nanf("");
    return logits;
  }

  // As a back end draws: greedily, and what it was told besides is left in draws_.
  sched::TokenId drawn_after(sched::TokenId token, const TokenDraw& draw) {
    draws_.push_back(draw);
    const std::vector<float> logits = logits_after(token);
    const sample::Best best = sample::find_best(std::span(logits).first(kVocabulary));
    return best.has_nan ? -1 : best.token;
  }

  // Runs the plan; the sizes of its batches are left in batches_.
  sched::StepResult run(int max_logit_rows = 64) {
    StepSampler sampler(
        max_logit_rows, backend_samples_,
        [](int64_t count, const auto& body) {
          for (int64_t i = count - 1; i >= 0; --i) body(i);
        },
        drafts_ ? std::make_unique<FixedDrafter>() : nullptr,
        [this](const sched::Request& request) -> std::unique_ptr<sample::Constraint> {
          if (request.prompt != constrained_) return nullptr;
          auto constraint = std::make_unique<ScriptedConstraint>(log_);
          constraint->fail_after(fail_after_);
          return constraint;
        });
    sched::StepResult result{1, std::vector<sched::RowResult>(plan_.rows.size())};
    sampler.begin(plan_, result);
    if (prepare_) sampler.prepare();
    batches_.clear();
    draws_.clear();
    while (true) {
      const auto [tokens, draws] = sampler.next_batch();
      if (tokens.empty()) break;
      batches_.push_back(static_cast<int>(tokens.size()));
      Tokens drawn;
      std::vector<float> logits;
      for (size_t i = 0; i < tokens.size(); ++i) {
        const sched::TokenId token = plan_.tokens[tokens[i]];
        if (i < draws.size()) {
          drawn.push_back(drawn_after(token, draws[i]));
        } else {
          const std::vector<float> row = logits_after(token);
          logits.insert(logits.end(), row.begin(), row.end());
        }
      }
      if (!sampler.take_batch({drawn, logits, kStride, kVocabulary}))
        result.failure = Status{Code::kInternal, "NaN"};
    }
    plan_ = {};
    return result;
  }

  std::vector<std::unique_ptr<sched::Sequence>> sequences_;
  sched::BatchPlan plan_;
  std::vector<int> batches_;
  bool backend_samples_ = false;
  std::vector<TokenDraw> draws_;
  bool drafts_ = false;
  Tokens constrained_ = {99};
  bool prepare_ = false;
  size_t fail_after_ = 99;
  std::string log_;
  sched::TokenId nan_after = -1;
};

TEST_F(StepSamplerTest, EveryRowHasTheTokenAfterItsLast) {
  plan_row(add({1, 2, 3}), 0);
  plan_row(add({5}, {6, 7}), 2);
  const sched::StepResult result = run();
  EXPECT_EQ(batches_, (std::vector<int>{2}));
  EXPECT_EQ(result.rows[0].accepted, Tokens{4});
  EXPECT_EQ(result.rows[1].accepted, Tokens{8});
  EXPECT_TRUE(result.rows[0].drafts.empty());
  EXPECT_TRUE(result.rows[0].logprobs.empty());
}

TEST_F(StepSamplerTest, DraftsAreVerifiedAndNewOnesProposed) {
  drafts_ = true;
  plan_row(add({1}, {2}), 1, {3, 4, 7});
  plan_row(add({1}, {2}), 1, {4});
  const sched::StepResult result = run();
  EXPECT_EQ(batches_, (std::vector<int>{6}));
  EXPECT_EQ(result.rows[0].accepted, (Tokens{3, 4, 5}));
  EXPECT_EQ(result.rows[0].drafts, (Tokens{5, 5}));  // the newest of five tokens
  EXPECT_EQ(result.rows[1].accepted, (Tokens{3}));
}

TEST_F(StepSamplerTest, ARowsDraftsAreNeverSplitBetweenBatches) {
  for (int i = 0; i < 3; ++i) plan_row(add({1}, {2}), 1, {3, 4});
  const sched::StepResult result = run(5);
  EXPECT_EQ(batches_, (std::vector<int>{3, 3, 3}));
  for (const sched::RowResult& row : result.rows) EXPECT_EQ(row.accepted, (Tokens{3, 4, 5}));
}

TEST_F(StepSamplerTest, PromptsAreScoredWhateverTheBatches) {
  sched::Sequence& scored = add({1, 2, 9, 4});
  scored.request.sampling.prompt_logprobs = 2;
  for (const int max_logit_rows : {1, 2, 3, 64}) {
    plan_row(scored, 0);
    const sched::StepResult result = run(max_logit_rows);
    const auto& prompt = result.rows[0].prompt_logprobs;
    ASSERT_EQ(prompt.size(), 3u);
    EXPECT_EQ(prompt[0].chosen.token, 2);
    EXPECT_EQ(prompt[1].chosen.token, 9);
    EXPECT_EQ(prompt[2].chosen.token, 4);
    EXPECT_EQ(prompt[0].chosen.logprob, prompt[0].top[0].logprob);  // 2 is the best after 1
    EXPECT_EQ(prompt[1].top[0].token, 3);
    EXPECT_EQ(prompt[1].top[1].token, 7);
    EXPECT_EQ(result.rows[0].accepted, Tokens{5});
  }
}

TEST_F(StepSamplerTest, LogprobsAreOfTheLogitsBeforePenalties) {
  sched::Sequence& plain = add({1}, {2});
  plain.request.sampling.logprobs = 1;
  sched::Sequence& biased = add({1}, {2});
  biased.request.sampling.logprobs = 1;
  biased.request.sampling.logit_bias = {{3, -50.0f}};
  plan_row(plain, 1);
  plan_row(biased, 1);
  const sched::StepResult result = run();
  EXPECT_EQ(result.rows[0].accepted, Tokens{3});
  EXPECT_EQ(result.rows[1].accepted, Tokens{7});
  for (const sched::RowResult& row : result.rows) {
    EXPECT_EQ(row.logprobs[0].top[0].token, 3);
    EXPECT_EQ(row.logprobs[0].top[0].logprob, result.rows[0].logprobs[0].chosen.logprob);
  }
  EXPECT_LT(result.rows[1].logprobs[0].chosen.logprob, -1);
}

TEST_F(StepSamplerTest, PenaltiesFollowTheSequenceThroughStepsAndDrafts) {
  for (const Tokens& drafts : {Tokens{}, Tokens{7}, Tokens{3, 4}}) {
    sched::Sequence& sequence = add({1}, {3, 7, 2});
    sequence.request.sampling.presence_penalty = 3.5f;
    plan_row(sequence, 3, drafts);
    const sched::StepResult first = run();
    EXPECT_EQ(first.rows[0].accepted[0], 0);  // 3 and 7 have come before
    sequence.tokens.push_back(0);
    plan_row(sequence, 4);
    EXPECT_EQ(run().rows[0].accepted, Tokens{1});
  }
}

TEST_F(StepSamplerTest, AConstraintFollowsWhatIsAcceptedAndSeesNoRejectedDraft) {
  constrained_ = {1};
  sched::Sequence& sequence = add({1}, {2});
  plan_row(sequence, 1, {7, 8, 1});
  // After 2 not 3: 7. After 7 not 8: 2, so drafts 8 and 1 are rejected.
  EXPECT_EQ(run().rows[0].accepted, (Tokens{7, 2}));
  EXPECT_EQ(log_, "+2?+7?+2");
  log_.clear();
  sequence.tokens.push_back(7);
  sequence.tokens.push_back(2);
  plan_row(sequence, 3);
  EXPECT_EQ(run().rows[0].accepted, Tokens{7});
  EXPECT_EQ(log_, "?+7");
}

TEST_F(StepSamplerTest, WhatTheSchedulerDidNotKeepIsRolledBack) {
  constrained_ = {1};
  sched::Sequence& sequence = add({1}, {2});
  plan_row(sequence, 1, {7});
  EXPECT_EQ(run().rows[0].accepted, (Tokens{7, 2}));
  log_.clear();
  sequence.tokens.push_back(7);  // and the step's other token was cut off
  plan_row(sequence, 2);
  EXPECT_EQ(run().rows[0].accepted, Tokens{2});
  EXPECT_EQ(log_, "-1?+2");
}

TEST_F(StepSamplerTest, ConstraintsArePreparedBeforeThereAreLogits) {
  constrained_ = {1};
  prepare_ = true;
  sched::Sequence& sequence = add({1}, {2});
  sequence.request.notes = std::make_shared<sched::RequestNotes>();
  plan_row(sequence, 1);
  plan_row(add({1}, {5}), 1);  // without notes: only when it is sampled
  EXPECT_EQ(run().rows[0].accepted, Tokens{7});
  EXPECT_EQ(log_, "+2?+5?+0?+7");
}

TEST_F(StepSamplerTest, AConstraintWithoutAChoiceProposesDraftsBeforeTheDrafter) {
  constrained_ = {1};
  drafts_ = true;
  plan_row(add({1}, {2}), 1);
  plan_row(add({1}, {2, 7}), 2);
  const sched::StepResult result = run();
  EXPECT_EQ(result.rows[0].drafts, (Tokens{7, 3}));  // the drafter's
  EXPECT_EQ(result.rows[1].drafts, (Tokens{1, 2}));
}

TEST_F(StepSamplerTest, AConstraintThatFailsEndsItsRowAlone) {
  constrained_ = {1};
  fail_after_ = 2;
  plan_row(add({1}, {2}), 1, {7, 8});  // fails at the second token
  plan_row(add({5}), 0);
  const sched::StepResult result = run();
  ASSERT_TRUE(result.rows[0].failure.has_value());
  EXPECT_EQ(result.rows[0].failure->message, "no way on");
  EXPECT_EQ(result.rows[1].accepted, Tokens{6});
  EXPECT_FALSE(result.failure.has_value());
}

TEST_F(StepSamplerTest, ABackEndDrawsWhatNeedsNoMoreThanADraw) {
  backend_samples_ = true;
  using Change = void (*)(sched::Request&);
  const Change for_the_host[] = {
      [](sched::Request& r) { r.sampling.logprobs = 0; },
      [](sched::Request& r) { r.sampling.presence_penalty = 1; },
      [](sched::Request& r) { r.sampling.logit_bias = {{1, 0.5f}}; },
      [](sched::Request& r) { r.sampling.bad_words = {{1}}; },
      [](sched::Request& r) { r.stop.min_new_tokens = 2; },
  };
  for (const Change change : for_the_host) {
    plan_row(add({5}, {6}), 1);
    change(sequences_.back()->request);
  }
  const Change for_the_back_end[] = {
      [](sched::Request& r) { r.sampling.temperature = 0.5f; },
      [](sched::Request& r) { r.stop.min_new_tokens = 1; },
      [](sched::Request& r) { r.sampling.prompt_logprobs = 1; },
  };
  for (const Change change : for_the_back_end) {
    plan_row(add({1, 2}, {3}), 1);
    change(sequences_.back()->request);
  }
  constrained_ = {9};
  plan_row(add({9}, {6}), 1);
  for (const int max_logit_rows : {64, 2}) {
    const sched::BatchPlan plan = plan_;
    const sched::StepResult result = run(max_logit_rows);
    plan_ = plan;
    EXPECT_EQ(result.rows.back().accepted, Tokens{1});  // 7 is not allowed
    for (size_t r = 0; r + 1 < result.rows.size(); ++r)
      EXPECT_EQ(result.rows[r].accepted, Tokens{r < std::size(for_the_host) ? 7 : 4}) << r;
    ASSERT_EQ(draws_.size(), std::size(for_the_back_end));
    EXPECT_EQ(draws_[0], sample::token_draw(plan.rows[5].sequence->request.sampling, 3));
  }
}

TEST_F(StepSamplerTest, DrawnDraftsAreVerifiedLikeOthers) {
  backend_samples_ = drafts_ = true;
  plan_row(add({1}, {2}), 1, {3, 4, 7});
  sched::Sequence& for_the_host = add({1}, {2});
  for_the_host.request.sampling.logprobs = 0;
  plan_row(for_the_host, 1, {3, 4, 7});
  const sched::StepResult result = run();
  EXPECT_EQ(draws_.size(), 4u);
  for (int i = 0; i < 4; ++i)  // each at a position of its own
    EXPECT_EQ(draws_[i], sample::token_draw(for_the_host.request.sampling, 2 + i));
  for (const sched::RowResult& row : result.rows) {
    EXPECT_EQ(row.accepted, (Tokens{3, 4, 5}));
    EXPECT_EQ(row.drafts, (Tokens{5, 5}));
  }
}

TEST_F(StepSamplerTest, ADrawnRowsNanIsToldIfItsTokenIsWanted) {
  backend_samples_ = true;
  for (const auto& [token, is_told] : {std::pair(2, true), {3, true}, {4, false}, {7, false}}) {
    nan_after = token;
    plan_row(add({1}, {2}), 1, {3, 7});
    EXPECT_EQ(run().failure.has_value(), is_told) << token;
  }
}

TEST_F(StepSamplerTest, OneNanOfAnyUseIsTold) {
  sched::Sequence& scored = add({1, 2, 3});
  scored.request.sampling.prompt_logprobs = 0;
  for (const sched::TokenId token : {1, 2, 3, 5}) {
    nan_after = token;
    plan_row(scored, 0);
    plan_row(add({5}), 0);
    EXPECT_TRUE(run().failure.has_value()) << token;
  }
  nan_after = 8;
  plan_row(scored, 0);
  EXPECT_FALSE(run().failure.has_value());
}

}  // namespace
}  // namespace erne::exec
