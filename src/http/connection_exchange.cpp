#include "http/connection_exchange.h"

#include <utility>

namespace erne::http {

ConnectionExchange::ConnectionExchange(std::weak_ptr<ResponseSink> sink, Request request,
                                       Manner manner, std::unique_ptr<Charge> charge)
    : sink_(std::move(sink)),
      request_(std::move(request)),
      charge_(std::move(charge)),
      headers_(std::move(manner.headers)),
      stream_framing_(manner.old_client ? ResponseFraming::kToClose : ResponseFraming::kChunked),
      keep_alive_(manner.keep_alive) {}

std::string ConnectionExchange::take_body() {
  charge_.reset();
  return std::exchange(request_.body, {});
}

void ConnectionExchange::respond(Response response) {
  std::string bytes = response_head(response, headers_, ResponseFraming::kLength, keep_alive());
  if (request_.method != "HEAD") bytes += response.body;
  send(bytes, true);
}

void ConnectionExchange::begin_stream(Response head) {
  if (stream_framing_ == ResponseFraming::kToClose) keep_alive_ = false;
  send(response_head(head, headers_, stream_framing_, keep_alive()), false);
}

void ConnectionExchange::write(std::string bytes) {
  if (bytes.empty()) return;  // an empty chunk would end the stream
  send(stream_framing_ == ResponseFraming::kChunked ? chunk(bytes) : bytes, false);
}

bool ConnectionExchange::writable() const {
  const auto sink = sink_.lock();
  return !sink || sink->writable();
}

void ConnectionExchange::finish() {
  send(stream_framing_ == ResponseFraming::kChunked ? kLastChunk : std::string_view(), true);
}

void ConnectionExchange::listen(std::shared_ptr<ExchangeListener> listener) {
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::kOpen) {
      listener_ = std::move(listener);
      return;
    }
    if (state_ == State::kComplete) return;
  }
  listener->on_gone();
}

bool ConnectionExchange::keep_alive() {
  const auto sink = sink_.lock();
  if (!sink || sink->draining()) keep_alive_ = false;
  return keep_alive_;
}

void ConnectionExchange::over(bool complete) {
  std::shared_ptr<ExchangeListener> listener;
  {
    std::lock_guard lock(mutex_);
    state_ = complete ? State::kComplete : State::kGone;
    listener = std::exchange(listener_, nullptr);
  }
  if (listener && !complete) listener->on_gone();
}

void ConnectionExchange::tell_writable() {
  std::shared_ptr<ExchangeListener> listener;
  {
    std::lock_guard lock(mutex_);
    listener = listener_;
  }
  if (listener) listener->on_writable();
}

void ConnectionExchange::send(std::string_view bytes, bool end) {
  if (const auto sink = sink_.lock()) sink->send(bytes, end);
}

}  // namespace erne::http
