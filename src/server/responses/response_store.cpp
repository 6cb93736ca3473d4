#include "server/responses/response_store.h"

#include <utility>

namespace erne::server::responses {
namespace {

constexpr size_t kBytesPerValue = 64;  // a value, its name and their heap blocks, from above

size_t bytes_of(const Json& value) {
  return kBytesPerValue * value.num_values() + value.num_text_bytes();
}

}  // namespace

size_t bytes_of(const Json::Array& items) {
  size_t bytes = 0;
  for (const Json& item : items) bytes += bytes_of(item);
  return bytes;
}

size_t bytes_of(const StoredResponse& stored) {
  return sizeof(StoredResponse) + stored.owner.size() + bytes_of(stored.response) +
         bytes_of(stored.input) + bytes_of(stored.earlier);
}

void ResponseStore::put(const std::string& id, StoredResponse response, Clock::time_point now) {
  const size_t bytes = bytes_of(response) + 2 * id.size();
  const std::lock_guard lock(mutex_);
  if (const auto known = by_id_.find(id); known != by_id_.end()) forget(known->second);
  if (bytes > max_bytes_) return;
  make_room(bytes, now);
  entries_.push_front(
      {id, std::make_shared<const StoredResponse>(std::move(response)), bytes, now});
  by_id_[id] = entries_.begin();
  bytes_ += bytes;
}

std::shared_ptr<const StoredResponse> ResponseStore::find(const std::string& id,
                                                          const std::string& owner,
                                                          Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  make_room(0, now);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->owner != owner) return nullptr;
  found->second->used = now;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->response;
}

bool ResponseStore::erase(const std::string& id, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->response->owner != owner) return false;
  forget(found->second);
  return true;
}

size_t ResponseStore::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void ResponseStore::forget(Entries::iterator entry) {
  bytes_ -= entry->bytes;
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

void ResponseStore::make_room(size_t bytes, Clock::time_point now) {
  const auto is_over = [&](const Entry& entry) { return now - entry.used > lifetime_; };
  while (!entries_.empty() && (bytes_ + bytes > max_bytes_ || is_over(entries_.back())))
    forget(std::prev(entries_.end()));
}

}  // namespace erne::server::responses
