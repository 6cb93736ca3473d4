#include "http/connection.h"

namespace erne::http {
namespace {

constexpr milliseconds kLingerTimeout{2'000};

}  // namespace

void Connection::on_header() {
  phase_ = Phase::kBody;
  set_timer(hub_->limits.body_timeout);
  if (!reserve_body()) return refuse(429, "too many request bodies at once");
  const auto& head = parser_->get();
  Request request;
  request.method = head.method_string();
  request.path = head.target().substr(0, head.target().find('?'));
  request.authorization = head[beast::field::authorization];
  if (auto refusal = hub_->handlers.gate(request)) {
    const bool all_read = parser_->is_done();
    begin_exchange(all_read && head.keep_alive());
    drop_input_ = !all_read;
    return exchange_->respond(std::move(*refusal));
  }
  if (!parser_->is_done() && head[beast::field::expect] == "100-continue") send(kContinue, false);
}

void Connection::on_request() {
  begin_exchange(parser_->get().keep_alive());
  hub_->handlers.handle(exchange_);
}

void Connection::begin_exchange(bool keep_alive) {
  auto message = parser_->release();
  const std::string_view target(message.target().data(), message.target().size());
  const size_t query = std::min(target.find('?'), target.size());
  Request request{.method = std::string(message.method_string()),
                  .path = std::string(target.substr(0, query)),
                  .query = std::string(target.substr(std::min(query + 1, target.size()))),
                  .authorization = std::string(message[beast::field::authorization]),
                  .body = std::move(message.body())};
  phase_ = Phase::kAnswering;
  stop_timer();
  exchange_ = std::make_shared<ConnectionExchange>(weak_from_this(), std::move(request),
                                                   message.version() < 11, keep_alive);
  hub_->answering(+1);
}

void Connection::end_exchange(bool complete) {
  hub_->body_bytes -= std::exchange(reserved_bytes_, 0);
  if (!exchange_) return;
  std::exchange(exchange_, nullptr)->over(complete);
  hub_->answering(-1);
}

void Connection::refuse(int status, std::string message) {
  static constexpr auto kCode = [](int status) -> std::string_view {
    switch (status) {
      case 408:
        return "request_timeout";
      case 413:
        return "body_too_large";
      case 429:
        return "overloaded";
      case 431:
        return "header_too_large";
      default:
        return "malformed_request";
    }
  };
  begin_exchange(/*keep_alive=*/false);
  drop_input_ = true;
  exchange_->respond(hub_->handlers.refuse({status, kCode(status), std::move(message)}));
}

void Connection::refuse_malformed(error_code error) {
  if (error == beast::error::body_limit)
    return refuse(413, "the request's body is larger than the allowed " +
                           std::to_string(hub_->limits.max_body_bytes) + " bytes");
  if (error == beast::error::header_limit)
    return refuse(431, "the request's header is larger than the allowed " +
                           std::to_string(hub_->limits.max_header_bytes) + " bytes");
  refuse(400, "not a well-formed HTTP/1.1 request: " + error.message());
}

void Connection::on_written(error_code error, size_t count) {
  if (error || !socket_.is_open()) return close();
  sent_bytes_ += count;
  if (sent_bytes_ < sending_.size()) return write();
  stop_timer();
  if (phase_ == Phase::kBody) set_timer(hub_->limits.body_timeout);  // that was "100 Continue"
  flush();
}

void Connection::on_answered() {
  const bool keep_alive = exchange_ && exchange_->keep_alive() && !drop_input_;
  end_exchange(/*complete=*/true);
  if (!keep_alive) {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    phase_ = Phase::kClosing;
    return set_timer(kLingerTimeout);
  }
  await_request(hub_->limits.idle_timeout);
  if (!inbox_.empty()) set_timer(hub_->limits.header_timeout);
  parse();
}

}  // namespace erne::http
