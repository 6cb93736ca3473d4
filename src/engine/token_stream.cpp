#include "engine/engine_client.h"

namespace erne::engine {

std::optional<StreamEvent> TokenStream::next() {
  const std::lock_guard lock(mutex_);
  if (read_ == events_.size()) return std::nullopt;
  std::optional<StreamEvent> event(std::move(events_[read_++]));
  if (read_ == events_.size()) {
    events_.clear();
    read_ = 0;
  }
  return event;
}

void TokenStream::push(StreamEvent event) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = events_.empty();
  events_.push_back(std::move(event));
  if (was_empty && on_ready_) on_ready_();
}

}  // namespace erne::engine
