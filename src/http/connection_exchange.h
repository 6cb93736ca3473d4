// The answering side of one HTTP exchange, filled from any thread and emptied by the connection's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/response_writer.h"

namespace erne::http {

// The connection, as far as an exchange sees it.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void send(std::string_view bytes, bool end) = 0;  // thread-safe
  virtual bool writable() = 0;                              // thread-safe
  virtual bool draining() const = 0;                        // thread-safe
};

class ConnectionExchange final : public Exchange {
 public:
  // `old_client`: HTTP/1.0, which knows no chunks.
  ConnectionExchange(std::weak_ptr<ResponseSink> sink, Request request, bool old_client,
                     bool keep_alive);

  const Request& request() const override { return request_; }
  void respond(Response response) override;
  void begin_stream(Response head) override;
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

  const std::weak_ptr<ResponseSink> sink_;
  const Request request_;
  const Framing stream_framing_;
  std::atomic<bool> keep_alive_;
  std::mutex mutex_;
  State state_ = State::kOpen;
  std::shared_ptr<ExchangeListener> listener_;
};

}  // namespace erne::http
