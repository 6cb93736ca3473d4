#include "server/http_exchange.h"

#include <utility>

namespace erne::server {

bool Outbox::add(std::string_view bytes, bool end) {
  std::lock_guard lock(mutex_);
  waiting_ += bytes;
  end_ |= end;
  return !std::exchange(taking_, true);
}

Outbox::Batch Outbox::take() {
  std::lock_guard lock(mutex_);
  Batch batch{.bytes = std::exchange(waiting_, {})};
  sending_bytes_ = batch.bytes.size();
  if (batch.bytes.empty()) {
    taking_ = false;
    batch.end = std::exchange(end_, false);
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

HttpExchange::HttpExchange(std::weak_ptr<Connection> connection, HttpRequest request,
                           bool old_client, bool keep_alive)
    : connection_(std::move(connection)),
      request_(std::move(request)),
      stream_framing_(old_client ? Framing::kToClose : Framing::kChunked),
      keep_alive_(keep_alive) {}

void HttpExchange::respond(HttpResponse response) {
  std::string bytes = response_head(response, Framing::kLength, keep_alive());
  if (request_.method != "HEAD") bytes += response.body;
  send(bytes, true);
}

void HttpExchange::begin_stream(HttpResponse head) {
  if (stream_framing_ == Framing::kToClose) keep_alive_ = false;
  send(response_head(head, stream_framing_, keep_alive()), false);
}

void HttpExchange::write(std::string bytes) {
  if (bytes.empty()) return;  // an empty chunk would end the stream
  send(stream_framing_ == Framing::kChunked ? chunk(bytes) : bytes, false);
}

bool HttpExchange::writable() const {
  const auto connection = connection_.lock();
  return !connection || connection->writable();
}

void HttpExchange::finish() {
  send(stream_framing_ == Framing::kChunked ? kLastChunk : std::string_view(), true);
}

void HttpExchange::listen(std::shared_ptr<ExchangeListener> listener) {
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

bool HttpExchange::keep_alive() {
  const auto connection = connection_.lock();
  if (!connection || connection->draining()) keep_alive_ = false;
  return keep_alive_;
}

void HttpExchange::over(bool complete) {
  std::shared_ptr<ExchangeListener> listener;
  {
    std::lock_guard lock(mutex_);
    state_ = complete ? State::kComplete : State::kGone;
    listener = std::exchange(listener_, nullptr);
  }
  if (listener && !complete) listener->on_gone();
}

void HttpExchange::tell_writable() {
  std::shared_ptr<ExchangeListener> listener;
  {
    std::lock_guard lock(mutex_);
    listener = listener_;
  }
  if (listener) listener->on_writable();
}

void HttpExchange::send(std::string_view bytes, bool end) {
  if (const auto connection = connection_.lock()) connection->send(bytes, end);
}

}  // namespace erne::server
