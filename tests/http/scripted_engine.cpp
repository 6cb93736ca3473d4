#include "scripted_engine.h"

#include <algorithm>

#include "base/clock.h"

namespace erne::server {
namespace {

// The token itself, and the next ids below it, each a little less likely.
sched::PositionLogprobs score(TokenId id, int position, int num_top) {
  sched::PositionLogprobs out{{id, ScriptedEngine::logprob(id, position)}, {}};
  for (int k = 0; k < num_top; ++k)
    out.top.push_back({id - k, out.chosen.logprob - 0.5f * static_cast<float>(k)});
  return out;
}

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

float ScriptedEngine::logprob(TokenId id, int position) {
  return -0.25f * static_cast<float>(1 + (id + position) % 4);
}

ScriptedEngine::ScriptedEngine(Script script)
    : script_(std::move(script)), thread_([this] { run(); }) {}

ScriptedEngine::~ScriptedEngine() {
  {
    const auto lock = enter();
    stopped_ = true;
  }
  changed_.notify_all();
}

Result<std::shared_ptr<engine::TokenStream>> ScriptedEngine::submit(
    sched::Request request, std::function<void()> on_ready) {
  const auto lock = enter();
  if (static_cast<int>(active_.size()) >= script_.num_waiting_max)
    return Status{Code::kOverloaded, "too many requests wait", {}};
  auto stream = std::make_shared<engine::TokenStream>(std::move(on_ready));
  last_request_ = request;
  const sched::RequestId id = request.id;
  active_.emplace(id, Active{std::move(request), stream});
  changed_.notify_all();
  return stream;
}

void ScriptedEngine::cancel(sched::RequestId id) {
  std::shared_ptr<engine::TokenStream> stream;
  {
    const auto lock = enter();
    const auto found = active_.find(id);
    if (found == active_.end()) return;
    stream = found->second.stream;
    active_.erase(found);
    ++num_cancelled_;
  }
  sched::TokenEvent event;
  event.id = id;
  event.finish = sched::FinishReason::kCancelled;
  stream->push({event});
}

engine::EngineStats ScriptedEngine::stats() const {
  engine::EngineStats stats;
  stats.running = num_active();
  stats.max_running = 64;
  stats.total_blocks = 100;
  stats.free_blocks = 70;
  stats.cached_blocks = 20;
  stats.token_budget = 61;
  return stats;
}

void ScriptedEngine::hold(bool held) {
  {
    const auto lock = enter();
    held_ = held;
  }
  changed_.notify_all();
}

void ScriptedEngine::set_script(Script script) {
  const auto lock = enter();
  script_ = std::move(script);
}

int ScriptedEngine::num_active() const {
  const auto lock = enter();
  return static_cast<int>(active_.size());
}

std::optional<sched::Request> ScriptedEngine::last_request() const {
  const auto lock = enter();
  return last_request_;
}

std::unique_lock<std::mutex> ScriptedEngine::enter() const {
  ++num_callers_;
  std::unique_lock lock(mutex_);
  --num_callers_;
  return lock;
}

void ScriptedEngine::run() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (held_ || active_.empty()) {
      changed_.wait(lock);
      continue;
    }
    for (auto it = active_.begin(); it != active_.end();)
      it = advance(it->second) ? std::next(it) : active_.erase(it);
    lock.unlock();
    do std::this_thread::yield();
    while (num_callers_ > 0);
    lock.lock();
  }
}

bool ScriptedEngine::advance(Active& active) {
  if (active.num_generated == script_.stall_after) return true;
  engine::StreamEvent out{event_of(active)};
  const SteadyClock clock;
  out.submitted_us = out.first_scheduled_us = out.emitted_us = clock.now_us();
  active.num_generated += static_cast<int>(out.event.tokens.size());
  const bool ended = out.event.finish.has_value();
  active.stream->push(std::move(out));
  return !ended;
}

sched::TokenEvent ScriptedEngine::event_of(const Active& active) const {
  const sched::Request& request = active.request;
  sched::TokenEvent event;
  event.id = request.id;
  event.cached_tokens = script_.num_cached;
  if (active.num_generated == 0 && request.sampling.prompt_logprobs >= 0)
    for (size_t i = 1; i < request.prompt.size(); ++i)
      event.prompt_logprobs.push_back(
          score(request.prompt[i], static_cast<int>(i), request.sampling.prompt_logprobs));
  if (active.num_generated == script_.fail_after) {
    event.finish = sched::FinishReason::kError;
    event.error = {Code::kInternal, "the scripted engine fails here", {}};
    return event;
  }
  if (request.stop.max_new_tokens == 0) {
    event.finish = sched::FinishReason::kLength;
    return event;
  }
  const size_t length = script_.reply.size();
  const size_t at =
      request.stop.ignore_eos && length > 0 ? active.num_generated % length : active.num_generated;
  const TokenId id = at < length ? script_.reply[at] : kEos;
  event.tokens.push_back(id);
  if (request.sampling.logprobs >= 0) {
    const int position = static_cast<int>(request.prompt.size()) + active.num_generated;
    event.logprobs.push_back(score(id, position, request.sampling.logprobs));
  }
  const bool stops =
      (id == kEos && !request.stop.ignore_eos) || contains(request.stop.stop_token_ids, id);
  if (stops)
    event.finish = sched::FinishReason::kStop;
  else if (active.num_generated + 1 >= request.stop.max_new_tokens)
    event.finish = sched::FinishReason::kLength;
  return event;
}

}  // namespace erne::server
