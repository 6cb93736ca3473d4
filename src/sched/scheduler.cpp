#include "sched/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace erne::sched {

bool Scheduler::MoreImportant::operator()(const Sequence* a, const Sequence* b) const {
  return std::pair(a->request.priority, a->request.id) <
         std::pair(b->request.priority, b->request.id);
}

Scheduler::Scheduler(const Limits& limits, kv::KvCache& cache) : limits_(limits), cache_(cache) {
  check_limits(limits, cache.geometry()).value();
}

Result<void> Scheduler::add(Request request) {
  if (Result<void> fits = check_request(request, limits_, cache_.geometry()); !fits.ok()) {
    return fits;
  }
  if (static_cast<int>(waiting_.size()) >= limits_.max_waiting) {
    return too_many_waiting(waiting_.size());
  }
  const RequestId id = request.id;
  const auto [it, is_new] = live_.try_emplace(id, std::make_unique<Sequence>());
  CHECK(is_new);
  Sequence& sequence = *it->second;
  sequence.tokens = request.prompt;
  sequence.request = std::move(request);
  waiting_.insert(&sequence);
  update_counts();
  return {};
}

void Scheduler::cancel(RequestId id) {
  const auto it = live_.find(id);
  if (it == live_.end()) return;
  Sequence& sequence = *it->second;
  if (sequence.planned > 0) {
    sequence.cancelled = true;  // the executor is at it
  } else {
    end(sequence, FinishReason::kCancelled, {}, ended_);
    update_counts();
  }
}

const BatchPlan& Scheduler::plan(Step step, int token_budget) {
  CHECK(!in_flight_);
  CHECK_GT(step, plan_.step);
  in_flight_ = true;
  plan_.step = step;
  plan_.rows.clear();
  plan_.tokens.clear();
  plan_.blocks.clear();
  plan_.copies.clear();
  planned_.clear();

  const bool short_of_blocks = secure_blocks();
  const int spare = share_out(spare_tokens(token_budget));
  if (!short_of_blocks) admit(spare);
  for (Sequence* sequence : running_) write_row(*sequence);
  if (!plan_.rows.empty()) cache_.take_copies(plan_.copies);
  update_counts();
  return plan_;
}

bool Scheduler::secure_blocks() {
  const int64_t preemptions = stats_.preemptions;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    while (!cache_.reserve(sequence.kv, sequence.size() + sequence.num_drafts())) {
      if (!sequence.drafts.empty()) {
        sequence.drafts.clear();  // a guess is not worth another's blocks
        continue;
      }
      const bool itself = running_.back() == &sequence;
      preempt_least_important();
      if (itself) break;
    }
  }
  return stats_.preemptions > preemptions;
}

void Scheduler::preempt_least_important() {
  Sequence& sequence = *running_.back();
  running_.pop_back();
  cache_.release(sequence.kv);
  sequence.computed = 0;
  sequence.drafts.clear();
  sequence.state = State::kWaiting;
  waiting_.insert(&sequence);
  ++stats_.preemptions;
}

int Scheduler::decode_tokens() const {
  int tokens = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->decodes()) tokens += sequence->work();
  }
  return tokens;
}

// Of the step, once every running sequence has its one token.
int Scheduler::spare_tokens(int token_budget) const {
  const int owned = static_cast<int>(running_.size());
  CHECK_LE(owned, limits_.max_tokens);
  if (!limits_.chunk_prompts) return limits_.max_tokens - owned;
  const int least = std::max(owned, 1);  // where nothing runs, something may begin
  return std::clamp(token_budget, least, limits_.max_tokens) - owned;
}

int Scheduler::share_out(int spare) {
  const auto take = [&spare](Sequence& sequence) {
    const int extra = std::min(sequence.work() - 1, spare);
    spare -= extra;
    sequence.planned = 1 + extra;
  };
  for (Sequence* sequence : running_) {
    if (sequence->decodes()) take(*sequence);
  }
  for (Sequence* sequence : running_) {
    if (!sequence->decodes()) take(*sequence);
  }
  return spare;
}

void Scheduler::admit(int spare) {
  while (spare > 0 && static_cast<int>(running_.size()) < limits_.max_rows && !waiting_.empty()) {
    Sequence& sequence = **waiting_.begin();
    if (!try_admit(sequence, spare)) return;
    waiting_.erase(waiting_.begin());
    running_.insert(std::ranges::upper_bound(running_, &sequence, MoreImportant()), &sequence);
    sequence.state = State::kRunning;
    sequence.planned = std::min(sequence.work(), spare);
    spare -= sequence.planned;
  }
}

bool Scheduler::try_admit(Sequence& sequence, int spare) {
  if (limits_.share_prefixes) {
    int limit = sequence.size() - 1;
    if (sequence.wants_prompt_logprobs()) limit = std::min(limit, sequence.scored);
    sequence.computed = cache_.match(sequence.kv, kv::TokenSpan(sequence.tokens).first(limit));
  }
  // Only a prompt is held together: what a preempted sequence generated may have made it longer
  // than any step.
  const bool whole = !limits_.chunk_prompts && sequence.generated() == 0;
  const bool in_time = !whole || sequence.work() <= spare;
  const int keep = running_.empty() ? 0 : limits_.min_free_blocks;
  // All its tokens' blocks at once: a prompt, once begun, is not short of blocks.
  if (!in_time || !cache_.reserve(sequence.kv, sequence.size(), keep)) {
    cache_.release(sequence.kv);
    sequence.computed = 0;
    return false;
  }
  if (sequence.cached_tokens < 0) {
    sequence.cached_tokens = sequence.computed;
    stats_.prompt_tokens += sequence.prompt_size();
    stats_.cached_prompt_tokens += sequence.computed;
  }
  return true;
}

void Scheduler::write_row(Sequence& sequence) {
  const int begin = sequence.computed;
  const int end = begin + sequence.planned;
  const int verified = std::min(end, sequence.size());
  const std::span<const kv::BlockId> blocks = sequence.kv.blocks();
  const int first_token = static_cast<int>(plan_.tokens.size());
  const int first_block = static_cast<int>(plan_.blocks.size());

  plan_.tokens.insert(plan_.tokens.end(), sequence.tokens.begin() + begin,
                      sequence.tokens.begin() + verified);
  plan_.tokens.insert(plan_.tokens.end(), sequence.drafts.begin(),
                      sequence.drafts.begin() + (end - verified));
  plan_.blocks.insert(plan_.blocks.end(), blocks.begin(), blocks.end());
  plan_.rows.push_back({
      .request = sequence.request.id,
      .first = begin,
      .count = sequence.planned,
      .drafts = end - verified,
      .wants_token = verified == sequence.size() && sequence.request.stop.max_new_tokens > 0,
      .wants_prompt_logprobs = sequence.wants_prompt_logprobs() && end > sequence.scored,
      .tokens = {first_token, first_token + sequence.planned},
      .blocks = {first_block, first_block + static_cast<int>(blocks.size())},
      .sequence = &sequence,
      .notes = &sequence.notes,
  });
  planned_.push_back(&sequence);
}

std::span<TokenEvent> Scheduler::commit(StepResult result) {
  CHECK(in_flight_);
  CHECK_EQ(result.step, plan_.step);
  in_flight_ = false;
  events_.clear();
  std::swap(events_, ended_);
  if (result.failure) {
    end_all(*result.failure);
  } else {
    CHECK_EQ(result.rows.size(), plan_.rows.size());
    for (size_t i = 0; i < result.rows.size(); ++i) {
      commit_row(*planned_[i], plan_.rows[i], result.rows[i]);
    }
  }
  update_counts();
  return events_;
}

void Scheduler::commit_row(Sequence& sequence, const PlanRow& row, RowResult& result) {
  sequence.planned = 0;
  if (sequence.cancelled) return end(sequence, FinishReason::kCancelled, {}, events_);

  TokenEvent event;
  take_prompt_logprobs(sequence, row, result, event);
  const std::optional<FinishReason> finish = take_tokens(sequence, row, result, event);
  if (limits_.share_prefixes) {
    cache_.publish(sequence.kv, kv::TokenSpan(sequence.tokens).first(sequence.computed));
  }
  if (finish) return end(sequence, *finish, std::move(event), events_);

  take_drafts(sequence, row, result);
  if (event.tokens.empty() && event.prompt_logprobs.empty()) return;
  event.id = sequence.request.id;
  event.cached_tokens = sequence.cached_tokens;
  events_.push_back(std::move(event));
}

void Scheduler::take_prompt_logprobs(Sequence& sequence, const PlanRow& row, RowResult& result,
                                     TokenEvent& event) {
  const int last = std::min(row.first + row.count, sequence.prompt_size() - 1);
  std::vector<PositionLogprobs>& logprobs = result.prompt_logprobs;
  CHECK_EQ(static_cast<int>(logprobs.size()), row.wants_prompt_logprobs ? last - row.first : 0);
  if (!row.wants_prompt_logprobs) return;
  // Before a preemption it may have been further: those are reported already.
  logprobs.erase(logprobs.begin(), logprobs.begin() + (sequence.scored - row.first));
  event.prompt_logprobs = std::move(logprobs);
  sequence.scored = last;
}

// Appends what the row brought, up to the sequence's end if that is among it.
std::optional<FinishReason> Scheduler::take_tokens(Sequence& sequence, const PlanRow& row,
                                                   RowResult& result, TokenEvent& event) {
  const int num_accepted = static_cast<int>(result.accepted.size());
  const bool wants_logprobs = sequence.request.sampling.logprobs >= 0;
  CHECK_EQ(result.logprobs.size(), wants_logprobs ? result.accepted.size() : 0);
  sequence.computed = row.first + row.count - row.drafts;
  if (!row.wants_token) {
    CHECK_EQ(num_accepted, 0);
    return finish_after(sequence);
  }
  CHECK(num_accepted >= 1 && num_accepted <= 1 + row.drafts);
  sequence.computed += num_accepted - 1;  // accepted drafts have KV, the newest token has none
  stats_.drafted_tokens += row.drafts;
  stats_.accepted_drafts += num_accepted - 1;
  for (int i = 0; i < num_accepted; ++i) {
    const TokenId token = result.accepted[i];
    if (i < num_accepted - 1) CHECK_EQ(token, sequence.drafts[i]);
    sequence.tokens.push_back(token);
    event.tokens.push_back(token);
    if (wants_logprobs) event.logprobs.push_back(std::move(result.logprobs[i]));
    ++stats_.generated_tokens;
    if (const auto finish = finish_after(sequence)) {
      sequence.computed = std::min(sequence.computed, sequence.size());
      return finish;
    }
  }
  return std::nullopt;
}

void Scheduler::take_drafts(Sequence& sequence, const PlanRow& row, RowResult& result) {
  if (!row.wants_token) {
    CHECK(result.drafts.empty());
    return;
  }
  // After the last token that may be generated there is nothing to verify.
  const int useful = sequence.request.stop.max_new_tokens - sequence.generated() - 1;
  const int proposed = static_cast<int>(result.drafts.size());
  sequence.drafts = std::move(result.drafts);
  sequence.drafts.resize(std::min({proposed, limits_.max_drafts, useful}));
}

void Scheduler::end(Sequence& sequence, FinishReason reason, TokenEvent event,
                    std::vector<TokenEvent>& events) {
  event.id = sequence.request.id;
  event.cached_tokens = std::max(sequence.cached_tokens, 0);
  event.finish = reason;
  events.push_back(std::move(event));
  if (sequence.state == State::kRunning) {
    std::erase(running_, &sequence);
  } else {
    waiting_.erase(&sequence);
  }
  live_.erase(sequence.request.id);  // its hold gives the blocks back
}

void Scheduler::end_all(const Status& failure) {
  while (!live_.empty()) {
    Sequence& sequence = running_.empty() ? **waiting_.begin() : *running_.front();
    TokenEvent event;
    event.error = failure;
    end(sequence, FinishReason::kError, std::move(event), events_);
  }
}

void Scheduler::update_counts() {
  stats_.running = static_cast<int>(running_.size());
  stats_.waiting = static_cast<int>(waiting_.size());
}

void Scheduler::check_invariants() const {
  CHECK_EQ(running_.size() + waiting_.size(), live_.size());
  CHECK_LE(static_cast<int>(running_.size()), std::min(limits_.max_rows, limits_.max_tokens));
  CHECK(std::ranges::is_sorted(running_, MoreImportant()));
  std::vector<const kv::KvHold*> holds;
  for (const Sequence* sequence : running_) {
    const int block_tokens = cache_.geometry().block_tokens;
    const int num_blocks = static_cast<int>(sequence->kv.blocks().size());
    CHECK(sequence->state == State::kRunning);
    CHECK_LT(sequence->computed, sequence->size());
    CHECK_LE(sequence->computed, num_blocks * block_tokens);
    // What it writes next is not shared.
    CHECK_LE(sequence->kv.num_shared_blocks() * block_tokens, sequence->computed);
    CHECK_LE(sequence->num_drafts(), limits_.max_drafts);
    CHECK(sequence->drafts.empty() || sequence->decodes());
    CHECK(!sequence->wants_prompt_logprobs() || sequence->computed <= sequence->scored);
    holds.push_back(&sequence->kv);
  }
  for (const Sequence* sequence : waiting_) {
    CHECK(sequence->state == State::kWaiting);
    CHECK_EQ(sequence->computed + sequence->planned + sequence->num_drafts(), 0);
    CHECK(sequence->kv.blocks().empty());
  }
  cache_.check_invariants(holds);
}

}  // namespace erne::sched
