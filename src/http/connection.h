// One connection: reads requests one after the other, hands them over, sends their answers. Private
// to http/: it costs whoever includes it Boost.Asio.
#pragma once

#ifdef __SANITIZE_THREAD__
#define BOOST_ASIO_DISABLE_FENCED_BLOCK  // the sanitizer knows no fences; locks order all we share
#endif

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "http/connection_exchange.h"
#include "http/outbox.h"
#include "http/server.h"

namespace erne::http {

namespace asio = boost::asio;
namespace beast = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = size_t{8} << 10;
constexpr size_t kMaxPipelinedBytes = size_t{64} << 10;  // while a request is being answered

class Connection;

// What connections share. Outlives them: they hold no work once the I/O threads are joined.
struct Hub {
  Hub(Limits limits, Handlers handlers)
      : limits(std::move(limits)), handlers(std::move(handlers)) {}

  const Limits limits;
  const Handlers handlers;
  std::atomic<bool> draining = false;
  std::atomic<size_t> body_bytes = 0;  // reserved by requests being read or answered

  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;
  int num_answering = 0;  // requests handled but not completely answered
  bool stopped = false;

  void answering(int change) {
    {
      std::lock_guard lock(mutex);
      num_answering += change;
    }
    changed.notify_all();
  }
};

// One connection. What it overrides may be called from any thread, the rest runs on its strand.
// Exactly one read is pending while the socket is open; pending operations keep the connection
// alive.
class Connection final : public ResponseSink, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Hub> hub, tcp::socket socket)
      : hub_(std::move(hub)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        outbox_(hub_->limits.max_unsent_bytes) {}
  ~Connection() override {
    std::lock_guard lock(hub_->mutex);
    hub_->connections.erase(this);
    hub_->changed.notify_all();
  }

  void start() {
    {
      std::lock_guard lock(hub_->mutex);
      hub_->connections.emplace(this, weak_from_this());
    }
    asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
      self->await_request(self->hub_->limits.header_timeout);
      self->read();
    });
  }
  void post_close(bool only_idle) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), only_idle] {
      if (!only_idle || (self->phase_ == Phase::kHeader && self->inbox_.empty())) self->close();
    });
  }

  void send(std::string_view bytes, bool end) override {
    if (outbox_.add(bytes, end))
      asio::post(socket_.get_executor(), [self = shared_from_this()] { self->flush(); });
  }
  bool writable() override { return outbox_.writable(); }
  bool draining() const override { return hub_->draining; }

 private:
  enum class Phase {
    kHeader,     // waiting for a request or inside its header
    kBody,       // inside its body
    kAnswering,  // bytes that arrive now belong to the next request
    kClosing,    // what arrives is dropped until the client closes, lest a reset eat the answer
  };
  using Parser = beast::request_parser<beast::string_body>;

  void read() {
    socket_.async_read_some(asio::buffer(read_buffer_),
                            [self = shared_from_this()](error_code error, size_t count) {
                              self->on_read(error, count);
                            });
  }
  void on_read(error_code error, size_t count) {
    if (error || !socket_.is_open()) return close();
    if (phase_ != Phase::kClosing && !drop_input_) {
      if (phase_ == Phase::kHeader && inbox_.empty()) set_timer(hub_->limits.header_timeout);
      inbox_.append(read_buffer_.data(), count);
      if (phase_ == Phase::kAnswering && inbox_.size() > kMaxPipelinedBytes) return close();
      parse();
    }
    if (socket_.is_open()) read();
  }

  void await_request(milliseconds patience) {
    phase_ = Phase::kHeader;
    parser_.emplace();
    parser_->header_limit(hub_->limits.max_header_bytes);
    parser_->body_limit(hub_->limits.max_body_bytes);
    set_timer(patience);
  }
  void parse() {
    while (!inbox_.empty() && (phase_ == Phase::kHeader || phase_ == Phase::kBody)) {
      error_code error;
      inbox_.erase(0, parser_->put(asio::buffer(inbox_), error));
      if (error == beast::error::need_more) {
        if (inbox_.size() > hub_->limits.max_header_bytes + kReadBytes)
          refuse(431, "the request's header or a chunk's header is too long");
        return;
      }
      if (error) return refuse_malformed(error);
      if (phase_ == Phase::kHeader && parser_->is_header_done()) on_header();
      if (phase_ == Phase::kBody && parser_->is_done()) on_request();
    }
  }
  void on_header();
  void on_request();
  void refuse(int status, std::string message);
  void refuse_malformed(error_code error);
  void begin_exchange(bool keep_alive);
  void end_exchange(bool complete);

  // Bodies are counted before they are read: a declared length by itself, chunks as the most they
  // may be.
  bool reserve_body() {
    reserved_bytes_ =
        parser_->content_length().value_or(parser_->chunked() ? hub_->limits.max_body_bytes : 0);
    return hub_->body_bytes.fetch_add(reserved_bytes_) + reserved_bytes_ <=
           hub_->limits.max_total_body_bytes;
  }

  void flush() {
    if (!socket_.is_open()) return;
    Outbox::Batch batch = outbox_.take();
    sending_ = std::move(batch.bytes);
    sent_bytes_ = 0;
    if (batch.writable && exchange_) exchange_->tell_writable();
    if (batch.end) return on_answered();
    if (!sending_.empty()) write();
  }
  void write() {
    set_timer(hub_->limits.write_timeout);
    socket_.async_write_some(asio::buffer(sending_) + sent_bytes_,
                             [self = shared_from_this()](error_code error, size_t count) {
                               self->on_written(error, count);
                             });
  }
  void on_written(error_code error, size_t count);
  void on_answered();

  void set_timer(milliseconds patience) {
    timer_.expires_after(patience);
    timer_.async_wait([self = shared_from_this(), turn = ++timer_turn_](error_code error) {
      if (!error && turn == self->timer_turn_) self->on_timeout();
    });
  }
  void stop_timer() {
    ++timer_turn_;
    timer_.cancel();
  }
  void on_timeout() {
    const bool inside_request =
        phase_ == Phase::kBody || (phase_ == Phase::kHeader && !inbox_.empty());
    inside_request ? refuse(408, "the request did not arrive in time") : close();
  }
  // What was under way may still complete afterwards, and finds the socket closed.
  void close() {
    stop_timer();
    error_code ignored;
    socket_.close(ignored);
    end_exchange(/*complete=*/false);
  }

  const std::shared_ptr<Hub> hub_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  uint64_t timer_turn_ = 0;
  Phase phase_ = Phase::kHeader;
  bool drop_input_ = false;  // the rest of a refused request
  std::array<char, kReadBytes> read_buffer_;
  std::string inbox_;  // read but not parsed
  std::optional<Parser> parser_;
  size_t reserved_bytes_ = 0;
  std::shared_ptr<ConnectionExchange> exchange_;
  Outbox outbox_;
  std::string sending_;
  size_t sent_bytes_ = 0;
};

}  // namespace erne::http
