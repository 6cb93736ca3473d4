#include "engine/engine.h"

#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace erne::engine {
namespace {

StepTime step_time(const sched::BatchPlan& plan, int64_t us) {
  StepTime step{.us = us};
  for (const sched::PlanRow& row : plan.rows) {
    (row.sequence->decodes() ? step.decode_tokens : step.prompt_tokens) += row.count;
  }
  return step;
}

}  // namespace

Engine::Engine(sched::Executor& executor, const sched::Limits& limits, const Clock& clock,
               double decode_slowdown)
    : executor_(executor),
      clock_(clock),
      cache_(executor.kv_geometry()),
      scheduler_(limits, cache_),
      pacer_(limits.chunk_prompts ? decode_slowdown : kNoPacing, limits.max_tokens),
      inbox_(limits.max_waiting),
      client_(limits, cache_.geometry(), clock, inbox_, board_),
      max_running_(limits.max_rows),
      token_budget_(limits.max_tokens) {
  store_stats();
}

Engine::~Engine() {
  stop();
  while (step()) {
  }
}

void Engine::run() {
  while (true) {
    if (step()) continue;
    if (failure_ || service_ != Service::kOpen) return;
    inbox_.wait();
  }
}

bool Engine::step() {
  deliver(inbox_.take());
  token_budget_ = pacer_.budget(scheduler_.decode_tokens());
  const sched::BatchPlan& plan = scheduler_.plan(++step_, token_budget_);
  inbox_.set_waiting(scheduler_.stats().waiting);
  sched::StepResult result = run(plan);
  const bool failed = result.failure.has_value();
  publish(scheduler_.commit(std::move(result)));
  store_stats();
  if (scheduler_.idle()) scheduler_.check_invariants();
  return failed || !scheduler_.idle();  // once more after a failure, for what the inbox still took
}

sched::StepResult Engine::run(const sched::BatchPlan& plan) {
  if (plan.rows.empty()) return {.step = plan.step};
  const int64_t start_us = clock_.now_us();
  note_first_scheduled(plan, start_us);
  ++num_computed_steps_;
  sched::StepResult result = executor_.run(plan);
  pacer_.observe(step_time(plan, clock_.now_us() - start_us));
  if (result.failure) {
    log_error("the executor failed and the engine ends: {}", result.failure->message);
    failure_ = result.failure;
    inbox_.fail(*failure_);
  }
  return result;
}

void Engine::deliver(Messages messages) {
  service_ = messages.service;
  for (Submission& submission : messages.submissions) accept(std::move(submission));
  for (sched::RequestId id : messages.cancels) scheduler_.cancel(id);
  if (service_ != Service::kStopping) return;
  for (const auto& [id, recipient] : recipients_) scheduler_.cancel(id);
}

void Engine::accept(Submission submission) {
  const sched::RequestId id = submission.request.id;
  recipients_[id] = {std::move(submission.stream), submission.submitted_us};
  Result<void> added = failure_ ? *failure_ : scheduler_.add(std::move(submission.request));
  if (added.ok()) return;
  sched::TokenEvent refused;
  refused.id = id;
  refused.finish = sched::FinishReason::kError;
  refused.error = added.status();
  publish({&refused, 1});
}

void Engine::note_first_scheduled(const sched::BatchPlan& plan, int64_t now_us) {
  for (const sched::PlanRow& row : plan.rows) {
    Recipient& recipient = recipients_.at(row.request);
    if (recipient.first_scheduled_us == 0) recipient.first_scheduled_us = now_us;
  }
}

void Engine::publish(std::span<sched::TokenEvent> events) {
  const int64_t now = clock_.now_us();
  for (sched::TokenEvent& event : events) {
    const auto it = recipients_.find(event.id);
    CHECK(it != recipients_.end());
    const Recipient recipient = it->second;
    if (event.finish) recipients_.erase(it);
    recipient.stream->push(
        {std::move(event), recipient.submitted_us, recipient.first_scheduled_us, now});
  }
}

void Engine::store_stats() {
  const sched::SchedulerStats& scheduler = scheduler_.stats();
  board_.store({
      .running = scheduler.running,
      .waiting = scheduler.waiting,
      .max_running = max_running_,
      .total_blocks = cache_.geometry().device_blocks,
      .free_blocks = cache_.free_blocks(),
      .cached_blocks = cache_.reclaimable_blocks(),
      .host_blocks = cache_.geometry().host_blocks,
      .host_cached_blocks = cache_.host_cached_blocks(),
      .steps = num_computed_steps_,
      .token_budget = token_budget_,
      .prompt_tokens = scheduler.prompt_tokens,
      .generated_tokens = scheduler.generated_tokens,
      .cached_prompt_tokens = scheduler.cached_prompt_tokens,
      .host_cached_prompt_tokens = scheduler.host_cached_prompt_tokens,
      .drafted_tokens = scheduler.drafted_tokens,
      .accepted_drafts = scheduler.accepted_drafts,
      .preemptions = scheduler.preemptions,
      .last_step_us = clock_.now_us(),
      .draining = service_ != Service::kOpen,
      .failed = failure_.has_value(),
  });
}

}  // namespace erne::engine
