#include "http/connection.h"

#include <algorithm>
#include <array>

namespace erne::http {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kMaxPipelinedBytes = size_t{64} << 10;  // while a request is being answered
constexpr size_t kMaxIdBytes = 128;
constexpr milliseconds kLingerTimeout{2'000};
constexpr milliseconds kProbeInterval{2'000};

// An id to repeat in headers, logs and names of replies.
bool is_sane_id(std::string_view id) {
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && std::string_view("-_.:/+=@~").find(c) != std::string_view::npos);
  };
  return !id.empty() && id.size() <= kMaxIdBytes && std::all_of(id.begin(), id.end(), is_plain);
}

Refusal too_much(Ledger::Answer answer) {
  return {429, "overloaded",
          answer == Ledger::Answer::kFull ? "too many bytes of requests at once"
                                          : "too many bytes of requests from this client at once"};
}

}  // namespace

Connection::Connection(std::shared_ptr<Hub> hub, tcp::socket socket, std::string client)
    : hub_(std::move(hub)),
      client_(std::move(client)),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      probe_timer_(socket_.get_executor()),
      reader_(hub_->limits.max_header_bytes, hub_->limits.max_body_bytes),
      input_charge_(hub_->ledger, client_),
      outbox_(hub_->limits.max_unsent_bytes) {}

Connection::~Connection() {
  hub_->ledger->leave(client_);
  std::lock_guard lock(hub_->mutex);
  hub_->connections.erase(this);
  hub_->changed.notify_all();
}

void Connection::start() {
  {
    std::lock_guard lock(hub_->mutex);
    hub_->connections.emplace(this, weak_from_this());
  }
  asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
    self->await_request(self->hub_->limits.header_timeout);
    self->wait_for_bytes();
  });
}

void Connection::post_close(bool only_idle) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), only_idle] {
    if (!only_idle || (self->phase_ == Phase::kHead && self->reader_.is_idle())) self->close();
  });
}

void Connection::send(std::string_view bytes, bool end) {
  if (outbox_.add(bytes, end))
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->flush(); });
}

// Waits first and reads into the thread's buffer then, so that a silent connection holds none.
void Connection::wait_for_bytes() {
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (error || !self->socket_.is_open()) return self->close();
    self->on_bytes();
  });
}

void Connection::on_bytes() {
  static thread_local std::array<char, kReadBytes> buffer;
  error_code error;
  const size_t count = socket_.read_some(asio::buffer(buffer), error);
  if (error == asio::error::would_block) return wait_for_bytes();
  if (error == asio::error::eof) return on_end_of_input();
  if (error) return close();
  if (phase_ != Phase::kClosing && !drop_input_) {
    if (phase_ == Phase::kHead && reader_.is_idle()) set_timer(hub_->limits.header_timeout);
    reader_.add({buffer.data(), count});
    if (phase_ == Phase::kAnswering && reader_.num_pending() > kMaxPipelinedBytes) return close();
    advance();
  }
  if (socket_.is_open()) wait_for_bytes();
}

// The client has closed the connection, or only its sending side: then it still reads.
void Connection::on_end_of_input() {
  input_ended_ = true;
  switch (phase_) {
    case Phase::kClosing:
      return close();
    case Phase::kHead:
      if (reader_.is_idle()) return close();
      [[fallthrough]];
    case Phase::kBody:
      refuse(malformed("it ends early"));
      [[fallthrough]];
    case Phase::kAnswering:
      return on_half_closed();
  }
}

void Connection::on_half_closed() {
  socket_.async_wait(tcp::socket::wait_error,
                     [self = shared_from_this()](error_code) { self->close(); });
  probe();
}

// Whether a client that has ended its sending side still reads shows only when something is sent to
// it: one that is gone answers with a reset. A 100 Continue is what every client of HTTP/1.1 has to
// skip, wherever it comes before the response. A response that has begun is its own probe.
void Connection::probe() {
  if (!socket_.is_open() || !exchange_ || exchange_->old_client()) return;
  if (outbox_.add_interim(kContinue)) flush();
  probe_timer_.expires_after(kProbeInterval);
  probe_timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->probe();
  });
}

void Connection::await_request(milliseconds patience) {
  phase_ = Phase::kHead;
  set_timer(patience);
}

void Connection::advance() {
  while (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    const RequestReader::Step step = reader_.next();
    const Ledger::Answer answer = input_charge_.set(reader_.held_bytes());
    if (answer != Ledger::Answer::kYes) return refuse(too_much(answer));
    switch (step) {
      case RequestReader::Step::kNeedsMore:
        return;
      case RequestReader::Step::kHead:
        on_head();
        break;
      case RequestReader::Step::kRequest:
        on_request();
        break;
      case RequestReader::Step::kRefused:
        return refuse(reader_.refusal());
    }
  }
  input_charge_.set(reader_.held_bytes());
}

Request Connection::request_of_head() const {
  const RequestHead& head = reader_.head();
  Request request{.method = head.method,
                  .path = head.path,
                  .query = head.query,
                  .fields = head.fields,
                  .client = client_};
  const std::string_view id = request.field("x-request-id");
  request.id = is_sane_id(id) ? std::string(id) : hub_->handlers.make_id();
  return request;
}

void Connection::on_head() {
  phase_ = Phase::kBody;
  set_timer(hub_->limits.body_timeout);
  request_ = request_of_head();
  if (auto answer = answer_preflight(hub_->cors, request_)) return answer_early(std::move(*answer));
  Admission admission = hub_->handlers.admit(request_);
  if (admission.refusal) return answer_early(std::move(*admission.refusal));
  reader_.begin_body(admission.wants_body);
  if (reader_.head().expects_continue && reader_.num_pending() == 0 &&
      outbox_.add_interim(kContinue))
    flush();
}

// Before the body is read; where there is one, its end is not looked for.
void Connection::answer_early(Response response) {
  const bool no_body = reader_.head().framing == BodyFraming::kNone;
  begin_exchange(no_body && reader_.head().keep_alive);
  drop_input_ = !no_body;
  exchange_->respond(std::move(response));
}

void Connection::on_request() {
  request_.body = reader_.take_body();
  begin_exchange(reader_.head().keep_alive);
  hub_->handlers.handle(exchange_);
}

void Connection::begin_exchange(bool keep_alive) {
  phase_ = Phase::kAnswering;
  stop_timer();
  ConnectionExchange::Manner manner{.old_client = reader_.head().old_client,
                                    .keep_alive = keep_alive,
                                    .headers = cors_headers(hub_->cors, request_)};
  manner.headers.emplace_back("X-Request-Id", request_.id);
  reader_.restart();
  // What the reader had counted is counted for the exchange now.
  input_charge_.set(reader_.held_bytes());
  auto charge = std::make_unique<Charge>(hub_->ledger, client_);
  charge->set(request_.body.capacity());
  exchange_ = std::make_shared<ConnectionExchange>(weak_from_this(), std::exchange(request_, {}),
                                                   std::move(manner), std::move(charge));
  hub_->answering(+1);
}

void Connection::end_exchange(bool complete) {
  if (!exchange_) return;
  std::exchange(exchange_, nullptr)->over(complete);
  hub_->answering(-1);
}

void Connection::refuse(Refusal refusal) {
  if (request_.id.empty()) request_ = request_of_head();  // what was understood of it
  begin_exchange(/*keep_alive=*/false);
  drop_input_ = true;
  Response response = hub_->handlers.refuse(refusal);
  for (auto& header : refusal.headers) response.headers.push_back(std::move(header));
  exchange_->respond(std::move(response));
}

void Connection::on_answered() {
  const bool keep_alive = exchange_ && exchange_->keep_alive() && !drop_input_;
  end_exchange(/*complete=*/true);
  if (input_ended_ && (!keep_alive || reader_.is_idle())) return close();
  if (!keep_alive) {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    phase_ = Phase::kClosing;
    return set_timer(kLingerTimeout);
  }
  await_request(reader_.is_idle() ? hub_->limits.idle_timeout : hub_->limits.header_timeout);
  advance();
  if (!input_ended_) return;
  phase_ == Phase::kAnswering ? probe() : on_end_of_input();
}

void Connection::flush() {
  if (!socket_.is_open()) return;
  Outbox::Batch batch = outbox_.take();
  sending_ = std::move(batch.bytes);
  sent_bytes_ = 0;
  if (batch.writable && exchange_) exchange_->tell_writable();
  if (batch.end) return on_answered();
  if (!sending_.empty()) write();
}

void Connection::write() {
  set_timer(hub_->limits.write_timeout);
  socket_.async_write_some(asio::buffer(sending_) + sent_bytes_,
                           [self = shared_from_this()](error_code error, size_t count) {
                             self->on_written(error, count);
                           });
}

void Connection::on_written(error_code error, size_t count) {
  if (error || !socket_.is_open()) return close();
  sent_bytes_ += count;
  if (sent_bytes_ < sending_.size()) return write();
  stop_timer();
  if (phase_ == Phase::kBody) set_timer(hub_->limits.body_timeout);  // that was "100 Continue"
  flush();
}

void Connection::set_timer(milliseconds patience) {
  timer_.expires_after(patience);
  timer_.async_wait([self = shared_from_this(), turn = ++timer_turn_](error_code error) {
    if (!error && turn == self->timer_turn_) self->on_timeout();
  });
}

void Connection::stop_timer() {
  ++timer_turn_;
  timer_.cancel();
}

void Connection::on_timeout() {
  const bool inside_request =
      phase_ == Phase::kBody || (phase_ == Phase::kHead && !reader_.is_idle());
  inside_request ? refuse({408, "request_timeout", "the request did not arrive in time"}) : close();
}

// What was under way may still complete afterwards, and finds the socket closed.
void Connection::close() {
  stop_timer();
  probe_timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  end_exchange(/*complete=*/false);
}

}  // namespace erne::http
