#include "http/outbox.h"

#include <utility>

namespace erne::http {

bool Outbox::add(std::string_view bytes, bool end) {
  std::lock_guard lock(mutex_);
  begun_ = true;
  waiting_ += bytes;
  end_ |= end;
  return !std::exchange(taking_, true);
}

bool Outbox::add_interim(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (begun_) return false;
  waiting_ += bytes;
  return !std::exchange(taking_, true);
}

Outbox::Batch Outbox::take() {
  std::lock_guard lock(mutex_);
  Batch batch{.bytes = std::exchange(waiting_, {})};
  sending_bytes_ = batch.bytes.size();
  if (batch.bytes.empty()) {
    taking_ = false;
    batch.end = std::exchange(end_, false);
    if (batch.end) begun_ = false;
  }
  if (sending_bytes_ < max_unsent_bytes_) batch.writable = std::exchange(refused_, false);
  return batch;
}

bool Outbox::writable() {
  std::lock_guard lock(mutex_);
  if (waiting_.size() + sending_bytes_ < max_unsent_bytes_) return true;
  refused_ = true;
  return false;
}

}  // namespace erne::http
