#include <iterator>
#include <utility>

#include "engine/engine_client.h"

namespace erne::engine {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// What both say, at the later one's time.
void append(StreamEvent& waiting, StreamEvent&& next) {
  append(waiting.event.tokens, std::move(next.event.tokens));
  append(waiting.event.logprobs, std::move(next.event.logprobs));
  append(waiting.event.prompt_logprobs, std::move(next.event.prompt_logprobs));
  waiting.event.cached_tokens = next.event.cached_tokens;
  waiting.event.finish = next.event.finish;
  waiting.event.error = std::move(next.event.error);
  waiting.first_scheduled_us = next.first_scheduled_us;
  waiting.emitted_us = next.emitted_us;
}

}  // namespace

std::optional<StreamEvent> TokenStream::next() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  std::optional<StreamEvent> event(std::move(events_.front()));
  events_.pop_front();
  return event;
}

void TokenStream::push(StreamEvent event) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = events_.empty();
  if (events_.size() < kMaxWaitingEvents) {
    events_.push_back(std::move(event));
  } else {
    append(events_.back(), std::move(event));
  }
  if (was_empty && on_ready_) on_ready_();
}

}  // namespace erne::engine
