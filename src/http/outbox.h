// What a connection has yet to send.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace erne::http {

// Two buffers, one being sent. Thread-safe.
class Outbox {
 public:
  struct Batch {
    std::string bytes;      // to send next; empty: nothing to send
    bool end = false;       // all of the response has been sent
    bool writable = false;  // someone was told that there is no room, and now there is
  };

  explicit Outbox(size_t max_unsent_bytes) : max_unsent_bytes_(max_unsent_bytes) {}

  // Returns whether the caller has to see to it that take() is called.
  bool add(std::string_view bytes, bool end);
  // The same for an interim response, which is left out once the response has begun.
  bool add_interim(std::string_view bytes);
  // What was taken before has been sent.
  Batch take();
  bool writable();

 private:
  const size_t max_unsent_bytes_;
  std::mutex mutex_;
  std::string waiting_;
  size_t sending_bytes_ = 0;
  bool begun_ = false;  // the response, of which something was added
  bool end_ = false;
  bool taking_ = false;  // take() will be called
  bool refused_ = false;
};

}  // namespace erne::http
