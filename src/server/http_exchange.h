// The answering side of one HTTP exchange, filled from any thread and emptied by the connection's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "server/exchange.h"
#include "server/http_wire.h"

namespace erne::server {

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
  // What was taken before has been sent.
  Batch take();
  bool writable();

 private:
  const size_t max_unsent_bytes_;
  std::mutex mutex_;
  std::string waiting_;
  size_t sending_bytes_ = 0;
  bool end_ = false;
  bool taking_ = false;  // take() will be called
  bool refused_ = false;
};

// The connection, as far as an exchange sees it.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual void send(std::string_view bytes, bool end) = 0;  // thread-safe
  virtual bool writable() = 0;                              // thread-safe
  virtual bool draining() const = 0;                        // thread-safe
};

class HttpExchange final : public Exchange {
 public:
  // `old_client`: HTTP/1.0, which knows no chunks.
  HttpExchange(std::weak_ptr<Connection> connection, HttpRequest request, bool old_client,
               bool keep_alive);

  const HttpRequest& request() const override { return request_; }
  void respond(HttpResponse response) override;
  void begin_stream(HttpResponse head) override;
  void write(std::string bytes) override;
  bool writable() const override;
  void finish() override;
  void listen(std::shared_ptr<ExchangeListener> listener) override;

  // For the connection, on its thread.
  bool keep_alive();
  void over(bool complete);  // the response has been sent, or the client is gone
  void tell_writable();

 private:
  enum class State { kOpen, kComplete, kGone };

  void send(std::string_view bytes, bool end);

  const std::weak_ptr<Connection> connection_;
  const HttpRequest request_;
  const Framing stream_framing_;
  std::atomic<bool> keep_alive_;
  std::mutex mutex_;
  State state_ = State::kOpen;
  std::shared_ptr<ExchangeListener> listener_;
};

}  // namespace erne::server
