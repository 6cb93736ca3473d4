#include "server/http_server.h"

#ifdef __SANITIZE_THREAD__
#define BOOST_ASIO_DISABLE_FENCED_BLOCK  // the sanitizer knows no fences; locks order all we share
#endif

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "server/errors.h"
#include "server/http_exchange.h"
#include "server/http_wire.h"

namespace erne::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = size_t{8} << 10;
constexpr size_t kMaxPipelinedBytes = size_t{64} << 10;  // while a request is being answered
constexpr milliseconds kLingerTimeout{2'000};
constexpr milliseconds kAcceptPause{100};  // when out of file descriptors

class Session;

// What sessions share. Outlives them: they hold no work once the I/O threads are joined.
struct Hub {
  Hub(HttpLimits limits, HttpHandlers handlers)
      : limits(std::move(limits)), handlers(std::move(handlers)) {}

  const HttpLimits limits;
  const HttpHandlers handlers;
  std::atomic<bool> draining = false;
  std::atomic<size_t> body_bytes = 0;  // reserved by requests being read or answered

  std::mutex mutex;
  std::condition_variable changed;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions;
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
// Exactly one read is pending while the socket is open; pending operations keep the session alive.
class Session final : public Connection, public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Hub> hub, tcp::socket socket)
      : hub_(std::move(hub)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        outbox_(hub_->limits.max_unsent_bytes) {}
  ~Session() override {
    std::lock_guard lock(hub_->mutex);
    hub_->sessions.erase(this);
    hub_->changed.notify_all();
  }

  void start() {
    {
      std::lock_guard lock(hub_->mutex);
      hub_->sessions.emplace(this, weak_from_this());
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
  using Parser = http::request_parser<http::string_body>;

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
      if (error == http::error::need_more) {
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
  std::shared_ptr<HttpExchange> exchange_;
  Outbox outbox_;
  std::string sending_;
  size_t sent_bytes_ = 0;
};

void Session::on_header() {
  phase_ = Phase::kBody;
  set_timer(hub_->limits.body_timeout);
  if (!reserve_body()) return refuse(429, "too many request bodies at once");
  const auto& head = parser_->get();
  HttpRequest request;
  request.method = head.method_string();
  request.path = head.target().substr(0, head.target().find('?'));
  request.authorization = head[http::field::authorization];
  if (auto refusal = hub_->handlers.gate(request)) {
    const bool all_read = parser_->is_done();
    begin_exchange(all_read && head.keep_alive());
    drop_input_ = !all_read;
    return exchange_->respond(std::move(*refusal));
  }
  if (!parser_->is_done() && head[http::field::expect] == "100-continue") send(kContinue, false);
}

void Session::on_request() {
  begin_exchange(parser_->get().keep_alive());
  hub_->handlers.handle(exchange_);
}

void Session::begin_exchange(bool keep_alive) {
  auto message = parser_->release();
  const std::string_view target(message.target().data(), message.target().size());
  const size_t query = std::min(target.find('?'), target.size());
  HttpRequest request{.method = std::string(message.method_string()),
                      .path = std::string(target.substr(0, query)),
                      .query = std::string(target.substr(std::min(query + 1, target.size()))),
                      .authorization = std::string(message[http::field::authorization]),
                      .body = std::move(message.body())};
  phase_ = Phase::kAnswering;
  stop_timer();
  exchange_ = std::make_shared<HttpExchange>(weak_from_this(), std::move(request),
                                             message.version() < 11, keep_alive);
  hub_->answering(+1);
}

void Session::end_exchange(bool complete) {
  hub_->body_bytes -= std::exchange(reserved_bytes_, 0);
  if (!exchange_) return;
  std::exchange(exchange_, nullptr)->over(complete);
  hub_->answering(-1);
}

void Session::refuse(int status, std::string message) {
  static constexpr auto kCode = [](int status) {
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
  exchange_->respond(error_response(status, std::move(message), kCode(status)));
}

void Session::refuse_malformed(error_code error) {
  if (error == http::error::body_limit)
    return refuse(413, "the request's body is larger than the allowed " +
                           std::to_string(hub_->limits.max_body_bytes) + " bytes");
  if (error == http::error::header_limit)
    return refuse(431, "the request's header is larger than the allowed " +
                           std::to_string(hub_->limits.max_header_bytes) + " bytes");
  refuse(400, "not a well-formed HTTP/1.1 request: " + error.message());
}

void Session::on_written(error_code error, size_t count) {
  if (error || !socket_.is_open()) return close();
  sent_bytes_ += count;
  if (sent_bytes_ < sending_.size()) return write();
  stop_timer();
  if (phase_ == Phase::kBody) set_timer(hub_->limits.body_timeout);  // that was "100 Continue"
  flush();
}

void Session::on_answered() {
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

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpLimits limits, HttpHandlers handlers, int num_threads)
      : hub_(std::make_shared<Hub>(std::move(limits), std::move(handlers))),
        num_threads_(num_threads) {}
  ~Impl() { stop(); }

  Result<void> start(const std::string& host, int port) {
    error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
    if (error || found.empty())
      return invalid("cannot listen on host \"" + host + "\": " + error.message(), "host");
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(4096, error);
    if (error)
      return invalid("cannot listen on " + host + ":" + std::to_string(port) + ": " +
                         error.message() +
                         "; another program may be using it, choose another --port",
                     "port");
    port_ = acceptor_.local_endpoint().port();
    accept();
    for (int i = 0; i < num_threads_; ++i) threads_.emplace_back([this] { io_.run(); });
    return {};
  }

  bool drain(milliseconds limit) {
    hub_->draining = true;
    close_acceptor();
    for_each_session([](Session& session) { session.post_close(/*only_idle=*/true); });
    std::unique_lock lock(hub_->mutex);
    hub_->changed.wait_for(lock, limit,
                           [this] { return hub_->num_answering == 0 || hub_->stopped; });
    return hub_->num_answering == 0 && !hub_->stopped;
  }

  void stop() {
    std::lock_guard once(stop_mutex_);
    if (threads_.empty()) return;
    {
      // Before anything is closed: a drain that ends because of this must not count as one that was
      // answered.
      std::lock_guard lock(hub_->mutex);
      hub_->stopped = true;
      hub_->changed.notify_all();
    }
    close_acceptor();
    for_each_session([](Session& session) { session.post_close(/*only_idle=*/false); });
    {
      // Every close runs on the I/O threads; a second bounds what a stuck handler could cost.
      std::unique_lock lock(hub_->mutex);
      hub_->changed.wait_for(lock, std::chrono::seconds(1),
                             [this] { return hub_->sessions.empty(); });
    }
    io_.stop();
    threads_.clear();
  }

  int port() const { return port_; }
  int num_connections() const {
    std::lock_guard lock(hub_->mutex);
    return static_cast<int>(hub_->sessions.size());
  }

 private:
  void accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
      if (error) {
        log_warning("accepting a connection failed: {}", error.message());
        accept_pause_.expires_after(kAcceptPause);
        accept_pause_.async_wait([this](error_code waited) {
          if (!waited) accept();
        });
        return;
      }
      welcome(std::move(socket));
      accept();
    });
  }
  void welcome(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (num_connections() < hub_->limits.max_connections)
      return std::make_shared<Session>(hub_, std::move(socket))->start();
    const HttpResponse response = error_response(503, "too many connections", "overloaded");
    socket.non_blocking(true, ignored);
    socket.write_some(
        asio::buffer(response_head(response, Framing::kLength, false) + response.body), ignored);
  }
  void close_acceptor() {
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      accept_pause_.cancel();
    });
  }
  template <class F>
  void for_each_session(F&& f) {
    std::vector<std::shared_ptr<Session>> alive;
    {
      std::lock_guard lock(hub_->mutex);
      for (const auto& [_, weak] : hub_->sessions)
        if (auto session = weak.lock()) alive.push_back(std::move(session));
    }
    for (const auto& session : alive) f(*session);
  }

  asio::io_context io_;
  // Without it the I/O threads would end with the last connection, before a close posted to
  // another.
  const asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  const std::shared_ptr<Hub> hub_;
  const int num_threads_;
  tcp::acceptor acceptor_{asio::make_strand(io_)};
  asio::steady_timer accept_pause_{acceptor_.get_executor()};
  int port_ = 0;
  std::mutex stop_mutex_;
  std::vector<std::jthread> threads_;
};

HttpServer::HttpServer(HttpLimits limits, HttpHandlers handlers, int num_io_threads)
    : impl_(std::make_unique<Impl>(limits, std::move(handlers), num_io_threads)) {}
HttpServer::~HttpServer() = default;
Result<void> HttpServer::start(const std::string& host, int port) {
  return impl_->start(host, port);
}
int HttpServer::port() const {
  return impl_->port();
}
int HttpServer::num_connections() const {
  return impl_->num_connections();
}
bool HttpServer::drain(milliseconds limit) {
  return impl_->drain(limit);
}
void HttpServer::stop() {
  impl_->stop();
}

}  // namespace erne::server
