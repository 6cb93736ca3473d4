#include "engine/inbox.h"

#include <algorithm>
#include <utility>

#include "sched/limits.h"

namespace erne::engine {

Result<void> Inbox::submit(Submission submission) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    if (messages_.service != Service::kOpen) {
      return Status{Code::kOverloaded, "the server is shutting down"};
    }
    const int num_waiting = num_taken_ + static_cast<int>(messages_.submissions.size());
    if (num_waiting >= max_waiting_) return sched::too_many_waiting(num_waiting);
    messages_.submissions.push_back(std::move(submission));
  }
  arrived_.notify_one();
  return {};
}

void Inbox::cancel(sched::RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    messages_.cancels.push_back(id);
  }
  arrived_.notify_one();
}

void Inbox::close(Service service) {
  {
    const std::lock_guard lock(mutex_);
    messages_.service = std::max(messages_.service, service);
    service_changed_ = true;
  }
  arrived_.notify_one();
}

void Inbox::fail(Status failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
}

Messages Inbox::take() {
  const std::lock_guard lock(mutex_);
  const Service service = messages_.service;
  num_taken_ += static_cast<int>(messages_.submissions.size());
  service_changed_ = false;
  return std::exchange(messages_, {.submissions = {}, .cancels = {}, .service = service});
}

void Inbox::set_waiting(int num_waiting) {
  const std::lock_guard lock(mutex_);
  num_taken_ = num_waiting;
}

void Inbox::wait() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] {
    return !messages_.submissions.empty() || !messages_.cancels.empty() || service_changed_;
  });
}

}  // namespace erne::engine
