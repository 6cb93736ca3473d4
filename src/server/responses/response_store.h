// Responses that clients may come back to: follow with another turn, read again, cancel, delete. In
// memory, bounded in bytes and in time: what was not asked for longest goes first.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace erne::server::responses {

struct StoredResponse {
  std::string owner;    // who may see it: as RequestWork::client
  Json response;        // the object as it is now
  Json::Array input;    // the items of its turn
  Json::Array earlier;  // the items of the turns before, theirs and ours
};

// Of memory, from above.
size_t bytes_of(const Json::Array& items);
size_t bytes_of(const StoredResponse& stored);

class ResponseStore {  // thread-safe
 public:
  using Clock = std::chrono::steady_clock;

  ResponseStore(size_t max_bytes, std::chrono::seconds lifetime)
      : max_bytes_(max_bytes), lifetime_(lifetime) {}

  // Puts it in, or in the place of the one of that id. One that is larger than all there may be is
  // not kept.
  void put(const std::string& id, StoredResponse response, Clock::time_point now = Clock::now());
  // Null where there is none, or it is another one's.
  std::shared_ptr<const StoredResponse> find(const std::string& id, const std::string& owner,
                                             Clock::time_point now = Clock::now());
  bool erase(const std::string& id, const std::string& owner);
  size_t bytes() const;

 private:
  struct Entry {
    std::string id;
    std::shared_ptr<const StoredResponse> response;
    size_t bytes;
    Clock::time_point used;
  };
  using Entries = std::list<Entry>;

  void forget(Entries::iterator entry);
  void make_room(size_t bytes, Clock::time_point now);

  const size_t max_bytes_;
  const std::chrono::seconds lifetime_;
  mutable std::mutex mutex_;
  Entries entries_;  // last used first
  std::unordered_map<std::string, Entries::iterator> by_id_;
  size_t bytes_ = 0;
};

}  // namespace erne::server::responses
