// The answering side of one HTTP exchange, filled from any thread and emptied by the connection's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/exchange.h"
#include "http/ledger.h"
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
  struct Manner {
    bool old_client = false;  // HTTP/1.0, which knows no chunks
    bool keep_alive = true;
    Fields headers = {};  // of whatever the answer will be
  };
  // `charge`: for the request's body; may be null.
  ConnectionExchange(std::weak_ptr<ResponseSink> sink, Request request, Manner manner,
                     std::unique_ptr<Charge> charge);

  const Request& request() const override { return request_; }
  std::string take_body() override;
  void respond(Response response) override;
  void begin_stream(Response head) override;
  void write(std::string bytes) override;
  bool writable() const override;
  void finish() override;
  void listen(std::shared_ptr<ExchangeListener> listener) override;

  // For the connection, on its thread.
  bool keep_alive();
  bool old_client() const { return stream_framing_ == ResponseFraming::kToClose; }
  void over(bool complete);  // the response has been sent, or the client is gone
  void tell_writable();

 private:
  enum class State { kOpen, kComplete, kGone };

  void send(std::string_view bytes, bool end);

  const std::weak_ptr<ResponseSink> sink_;
  Request request_;
  std::unique_ptr<Charge> charge_;
  const Fields headers_;
  const ResponseFraming stream_framing_;
  std::atomic<bool> keep_alive_;
  std::mutex mutex_;
  State state_ = State::kOpen;
  std::shared_ptr<ExchangeListener> listener_;
};

}  // namespace erne::http
