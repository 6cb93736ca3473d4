// What the scheduler's tests share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sched/scheduler.h"

namespace erne::sched {

using Tokens = std::vector<TokenId>;
inline constexpr TokenId kEos = 2;

inline Tokens count_from(TokenId first, int count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

inline Request request(RequestId id, Tokens prompt, int max_new_tokens) {
  Request request;
  request.id = id;
  request.prompt = std::move(prompt);
  request.stop.max_new_tokens = max_new_tokens;
  request.stop.eos_ids = {kEos};
  return request;
}

// The scheduler with an executor in the test's hands: every row that wants a token gets 500 + its
// position unless the test says otherwise.
class SchedulerTest : public testing::Test {
 protected:
  void make(Limits limits, int device_blocks, int block_tokens = 4, int host_blocks = 0) {
    if (limits.max_model_len == 0) limits.max_model_len = 1000;
    scheduler_.reset();  // it gives its blocks back to the cache it had
    step_ = 0;
    cache_.emplace(kv::KvGeometry{device_blocks, host_blocks, block_tokens, 1});
    scheduler_.emplace(limits, *cache_);
  }

  void add(Request request) { ASSERT_TRUE(scheduler_->add(std::move(request)).ok()); }

  const BatchPlan& plan() {
    plan_ = &scheduler_->plan(++step_, token_budget_);
    scheduler_->check_invariants();
    return *plan_;
  }
  // "id:first+count" of every row, "*" where it wants a token.
  std::string plan_text() {
    std::string text;
    for (const PlanRow& row : plan().rows) {
      if (!text.empty()) text += ' ';
      text += std::to_string(row.request) + ":" + std::to_string(row.first) + "+" +
              std::to_string(row.count) + (row.wants_token ? "*" : "");
    }
    return text;
  }

  RowResult usual_answer(const PlanRow& row) {
    RowResult result;
    if (row.wants_token) result.accepted = {500 + row.first + row.count};
    if (row.wants_prompt_logprobs) {
      const int prompt_size = row.sequence->prompt_size();
      for (int i = row.first + 1; i <= std::min(row.first + row.count, prompt_size - 1); ++i) {
        result.prompt_logprobs.push_back({{row.sequence->request.prompt[i], -1.0f * i}, {}});
      }
    }
    return result;
  }

  std::vector<TokenEvent> commit(std::vector<RowResult> rows) {
    const std::span<TokenEvent> events =
        scheduler_->commit({.step = plan_->step, .rows = std::move(rows)});
    std::vector<TokenEvent> copy(events.begin(), events.end());
    scheduler_->check_invariants();
    return copy;
  }
  std::vector<TokenEvent> commit() {
    std::vector<RowResult> rows;
    for (const PlanRow& row : plan_->rows) rows.push_back(usual_answer(row));
    return commit(std::move(rows));
  }
  std::vector<TokenEvent> step() {
    plan();
    return commit();
  }

  std::optional<kv::KvCache> cache_;
  std::optional<Scheduler> scheduler_;
  const BatchPlan* plan_ = nullptr;
  Step step_ = 0;
  int token_budget_ = std::numeric_limits<int>::max();  // of the next plans
};

}  // namespace erne::sched
