#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace erne::sched {

Scheduler::Scheduler(const Limits& limits, kv::KvCache& cache) : limits_(limits), cache_(cache) {
  check_limits(limits, cache.geometry()).value();
}

Result<void> Scheduler::add(Request request) {
  if (Result<void> fits = check_request(request, limits_, cache_.geometry()); !fits.ok()) {
    return fits;
  }
  if (turns_.num_waiting() >= limits_.max_waiting) {
    return too_many_waiting(turns_.num_waiting());
  }
  const RequestId id = request.id;
  const auto [it, is_new] = live_.try_emplace(id, std::make_unique<Sequence>());
  CHECK(is_new);
  Sequence& sequence = *it->second;
  sequence.tokens = request.prompt;
  sequence.request = std::move(request);
  turns_.begin_waiting(sequence);
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
  give_one_token_each(token_budget);
  share_out(!short_of_blocks);
  for (Sequence* sequence : running_) write_row(*sequence);
  if (!plan_.rows.empty()) cache_.take_copies(plan_.copies);
  update_counts();
  return plan_;
}

bool Scheduler::secure_blocks() {
  const int64_t preemptions = stats_.preemptions;
  for (size_t i = 0; i < running_.size();) {
    Sequence& sequence = *running_[i];
    if (cache_.reserve(sequence.kv, sequence.size() + sequence.num_drafts())) {
      ++i;
    } else if (!sequence.drafts.empty()) {
      sequence.drafts.clear();  // a guess is not worth another's blocks
    } else {
      Sequence& yields = turns_.first_to_yield(running_);
      const bool came_before = MoreImportant()(&yields, &sequence);
      preempt(yields);
      if (came_before) --i;  // the others have moved up
    }
  }
  return stats_.preemptions > preemptions;
}

void Scheduler::preempt(Sequence& sequence) {
  const int repaid = std::min(sequence.planned, overdraft_);
  overdraft_ -= repaid;
  spare_ += sequence.planned - repaid;
  if (sequence.wants_prompt_logprobs()) scored_left_ += sequence.planned;
  std::erase(running_, &sequence);
  turns_.give_row(sequence);
  cache_.release(sequence.kv);
  sequence.computed = 0;
  sequence.planned = 0;
  sequence.drafts.clear();
  sequence.state = State::kWaiting;
  turns_.begin_waiting(sequence);
  ++stats_.preemptions;
}

int Scheduler::decode_tokens() const {
  int tokens = 0;
  for (const Sequence* sequence : running_) {
    if (sequence->decodes()) tokens += sequence->work();
  }
  return tokens;
}

void Scheduler::give_one_token_each(int token_budget) {
  const int owned = static_cast<int>(running_.size());
  CHECK_LE(owned, limits_.max_tokens);
  const int least = std::max(owned, 1);  // where nothing runs, something may begin
  const int budget = limits_.chunk_prompts ? std::clamp(token_budget, least, limits_.max_tokens)
                                           : limits_.max_tokens;
  overdraft_ = limits_.chunk_prompts ? std::max(0, budget - std::max(token_budget, 0)) : 0;
  spare_ = budget;
  scored_left_ = limits_.max_scored;
  for (Sequence* sequence : running_) give(*sequence, 1);
}

void Scheduler::share_out(bool may_admit) {
  for (Sequence* sequence : running_) {
    if (sequence->decodes()) give(*sequence, spare_);
  }
  // Whoever wants less than was kept for it leaves the rest for another round.
  for (int before = spare_ + 1; before > spare_;) {
    before = spare_;
    const Want shortest = shortest_want();
    const int kept_for_long = long_prompts(shortest.first).empty() ? 0 : spare_ / 2;
    if (may_admit) admit(shortest, kept_for_long);
    give_short_prompts(spare_ - kept_for_long);
    if (may_admit) admit(kNobodyWants, kept_for_long);
    give_long_prompts();
  }
}

void Scheduler::give(Sequence& sequence, int most) {
  const bool scores = limits_.chunk_prompts && sequence.wants_prompt_logprobs();
  if (scores && sequence.planned > 0) most = std::min(most, scored_left_);
  const int tokens = std::clamp(sequence.work() - sequence.planned, 0, std::max(most, 0));
  sequence.planned += tokens;
  spare_ -= tokens;
  if (scores) scored_left_ -= tokens;
}

void Scheduler::give_short_prompts(int most) {
  std::vector<Sequence*> prompts;
  for (Sequence* sequence : running_) {
    if (is_unfinished(*sequence) && !is_long(*sequence)) prompts.push_back(sequence);
  }
  std::ranges::stable_sort(prompts, {}, want_of);
  for (Sequence* sequence : prompts) {
    const int before = spare_;
    give(*sequence, most);
    most -= before - spare_;
  }
}

void Scheduler::give_long_prompts() {
  std::vector<Sequence*> prompts = long_prompts(kNobodyWants.first);
  const auto priority = [](const Sequence* sequence) { return sequence->request.priority; };
  if (!prompts.empty()) {
    const int first = std::ranges::min(prompts, {}, priority)->request.priority;
    prompts = long_prompts(first);
  }
  int left = static_cast<int>(prompts.size());
  for (Sequence* sequence : prompts) {
    give(*sequence, (spare_ + left - 1) / left);
    --left;
  }
}

std::vector<Sequence*> Scheduler::long_prompts(int least_priority) const {
  std::vector<Sequence*> prompts;
  for (Sequence* sequence : running_) {
    const bool matters = sequence->request.priority <= least_priority;
    if (matters && is_unfinished(*sequence) && is_long(*sequence)) prompts.push_back(sequence);
  }
  return prompts;
}

// How much of a waiting prompt is cached is not known yet: it counts whole.
bool Scheduler::is_long(const Sequence& sequence) const {
  return limits_.chunk_prompts && sequence.size() - sequence.computed > limits_.long_prompt;
}

Scheduler::Want Scheduler::shortest_want() const {
  Want shortest = kNobodyWants;
  for (const Sequence* sequence : running_) {
    if (is_unfinished(*sequence) && !is_long(*sequence))
      shortest = std::min(shortest, want_of(sequence));
  }
  return shortest;
}

void Scheduler::admit(const Want& before, int kept_for_long) {
  const auto fits = [&](const Sequence& sequence) {
    return want_of(&sequence) <= before && may_begin(sequence, kept_for_long);
  };
  const auto most_rows = static_cast<size_t>(std::min(limits_.max_rows, limits_.max_tokens));
  while (true) {
    const bool is_full = running_.size() == most_rows;
    Sequence* next = is_full ? turns_.next_to_get_a_row_of(running_, fits) : turns_.next(fits);
    if (next == nullptr) return;
    if (is_full) {
      preempt(*turns_.yields_to(*next, running_));  // which had a token at least
    } else if (spare_ <= (is_long(*next) ? 0 : kept_for_long)) {
      return;
    }
    if (!hold_blocks(*next)) return;
    begin(*next);
    const int most = spare_ - kept_for_long;
    if (!is_long(*next) || next->work() - next->planned <= most) {
      give(*next, most);
    } else if (kept_for_long == 0) {
      kept_for_long = spare_ / 2;
    }
  }
}

// Whether the limits of unfinished prompts let it: always, if it will be none. Long prompts that
// are scored take many more steps than others, so they are counted apart.
bool Scheduler::may_begin(const Sequence& sequence, int kept_for_long) const {
  if (!limits_.chunk_prompts) return true;
  const bool scores = sequence.wants_prompt_logprobs();
  if (scores && scored_left_ < 1) return false;
  const int most = std::min(spare_ - kept_for_long, scores ? scored_left_ : spare_);
  if (sequence.size() <= most) return true;
  int partial = 0, partial_long = 0;
  for (const Sequence* other : running_) {
    if (!is_unfinished(*other)) continue;
    ++partial;
    partial_long += is_long(*other) && other->wants_prompt_logprobs() == scores;
  }
  return partial < limits_.max_partial_prompts &&
         (!is_long(sequence) || partial_long < limits_.max_long_prompts);
}

bool Scheduler::hold_blocks(Sequence& sequence) {
  if (limits_.share_prefixes) {
    int limit = sequence.size() - 1;
    if (sequence.wants_prompt_logprobs()) limit = std::min(limit, sequence.scored);
    const auto hit = cache_.match(sequence.kv, kv::TokenSpan(sequence.tokens).first(limit));
    sequence.computed = hit.tokens;
    // Where blocks are short all the same, the next attempt finds them on the device.
    sequence.from_host = std::max(sequence.from_host, hit.from_host);
  }
  // Only a prompt is held together: what a preempted sequence generated may have made it longer
  // than any step.
  const bool whole = !limits_.chunk_prompts && sequence.generated() == 0;
  bool holds = !whole || sequence.work() <= spare_;
  // All its tokens' blocks at once: a prompt, once begun, is not short of blocks.
  while (holds) {
    const int keep = running_.empty() ? 0 : limits_.min_free_blocks;
    if (cache_.reserve(sequence.kv, sequence.size(), keep)) return true;
    Sequence* yields = turns_.yields_to(sequence, running_);
    holds = yields != nullptr;
    if (holds) preempt(*yields);
  }
  cache_.release(sequence.kv);
  sequence.computed = 0;
  return false;
}

void Scheduler::begin(Sequence& sequence) {
  turns_.take_row(sequence);
  running_.insert(std::ranges::upper_bound(running_, &sequence, MoreImportant()), &sequence);
  sequence.state = State::kRunning;
  if (spare_ == 0) {  // it takes the row, and so the token, of one that was preempted
    ++spare_;
    ++overdraft_;
  }
  give(sequence, 1);
  if (sequence.cached_tokens >= 0) return;
  sequence.cached_tokens = sequence.computed;
  stats_.prompt_tokens += sequence.prompt_size();
  stats_.cached_prompt_tokens += sequence.computed;
  stats_.host_cached_prompt_tokens += std::min(sequence.from_host, sequence.computed);
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
  if (result.failure) {
    event.error = std::move(*result.failure);
    return end(sequence, FinishReason::kError, std::move(event), events_);
  }
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
    turns_.give_row(sequence);
  } else {
    turns_.end_waiting(sequence);
  }
  live_.erase(sequence.request.id);  // its hold gives the blocks back
}

void Scheduler::end_all(const Status& failure) {
  while (!live_.empty()) {
    const auto any = [](const Sequence&) { return true; };
    Sequence& sequence = running_.empty() ? *turns_.next(any) : *running_.front();
    TokenEvent event;
    event.error = failure;
    end(sequence, FinishReason::kError, std::move(event), events_);
  }
}

void Scheduler::update_counts() {
  stats_.running = static_cast<int>(running_.size());
  stats_.waiting = turns_.num_waiting();
}

void Scheduler::check_invariants() const {
  CHECK_EQ(running_.size() + turns_.num_waiting(), live_.size());
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
  turns_.for_each_waiting([](const Sequence& sequence) {
    CHECK(sequence.state == State::kWaiting);
    CHECK_EQ(sequence.computed + sequence.planned + sequence.num_drafts(), 0);
    CHECK(sequence.kv.blocks().empty());
  });
  turns_.check_rows(running_);
  cache_.check_invariants(holds);
}

}  // namespace erne::sched
