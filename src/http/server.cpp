#include "http/server.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "base/log.h"
#include "http/connection.h"
#include "http/response_writer.h"

namespace erne::http {
namespace {

constexpr milliseconds kAcceptPause{100};  // when out of file descriptors
constexpr int kKeepAliveSeconds = 15, kKeepAliveProbes = 4;

// Hosts that vanish without a word, and clients of HTTP/1.0 that are gone rather than half-closed.
void notice_dead_hosts(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  using Seconds = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
  using Interval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
  using Probes = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPCNT>;
  socket.set_option(Seconds(kKeepAliveSeconds), ignored);
  socket.set_option(Interval(kKeepAliveSeconds), ignored);
  socket.set_option(Probes(kKeepAliveProbes), ignored);
}

// Whom limits per client count: who has one IPv6 address has 2^64 of them.
std::string client_name(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_string();
  const asio::ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return asio::ip::address_v6(bytes).to_string() + "/64";
}

std::string endpoint_name(const std::string& host, int port) {
  const bool bare_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return (bare_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace

class Server::Impl {
 public:
  Impl(Limits limits, CorsPolicy cors, Handlers handlers, int num_threads)
      : hub_(std::make_shared<Hub>(std::move(limits), std::move(cors), std::move(handlers))),
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
      return invalid("cannot listen on " + endpoint_name(host, port) + ": " + error.message() +
                         "; another program may be using it, choose another --port",
                     "port");
    port_ = acceptor_.local_endpoint().port();
    accept();
    for (int i = 0; i < num_threads_; ++i) threads_.emplace_back([this] { run(); });
    return {};
  }

  // Memory for requests is counted before it is taken; where it runs out all the same, the
  // connection whose handler missed some loses what it was about, and the others go on.
  void run() {
    while (true) try {
        io_.run();
        return;
      } catch (const std::bad_alloc&) {
        log_error("out of memory on an I/O thread: a connection is lost");
      }
  }

  bool drain(milliseconds limit) {
    hub_->draining = true;
    close_acceptor();
    for_each_connection([](Connection& connection) { connection.post_close(/*only_idle=*/true); });
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
    for_each_connection([](Connection& connection) { connection.post_close(/*only_idle=*/false); });
    {
      // Every close runs on the I/O threads; a second bounds what a stuck handler could cost.
      std::unique_lock lock(hub_->mutex);
      hub_->changed.wait_for(lock, std::chrono::seconds(1),
                             [this] { return hub_->connections.empty(); });
    }
    io_.stop();
    threads_.clear();
  }

  int port() const { return port_; }
  void lower_max_bytes(size_t total, size_t client) { hub_->ledger->lower_bytes(total, client); }
  int num_connections() const { return hub_->ledger->num_connections(); }

 private:
  void accept() {
    acceptor_.async_accept(asio::make_strand(io_), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
      if (error) {
        if (!std::exchange(accept_failing_, true))
          log_warning("accepting a connection failed: {}", error.message());
        accept_pause_.expires_after(kAcceptPause);
        accept_pause_.async_wait([this](error_code waited) {
          if (!waited) accept();
        });
        return;
      }
      accept_failing_ = false;
      welcome(std::move(socket));
      accept();
    });
  }
  void welcome(tcp::socket socket) {
    error_code error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;  // gone already
    socket.non_blocking(true, error);
    socket.set_option(tcp::no_delay(true), error);
    notice_dead_hosts(socket);
    std::string client = client_name(peer.address());
    const Ledger::Answer answer = hub_->ledger->enter(client);
    if (answer == Ledger::Answer::kYes)
      return std::make_shared<Connection>(hub_, std::move(socket), std::move(client))->start();
    const Response response = hub_->handlers.refuse(
        {503, "overloaded",
         answer == Ledger::Answer::kFull ? "too many connections"
                                         : "too many connections from this address"});
    const Fields id = {{"X-Request-Id", hub_->handlers.make_id()}};
    const std::string head = response_head(response, id, ResponseFraming::kLength, false);
    socket.write_some(asio::buffer(head + response.body), error);
  }
  void close_acceptor() {
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      accept_pause_.cancel();
    });
  }
  template <class F>
  void for_each_connection(F&& f) {
    std::vector<std::shared_ptr<Connection>> alive;
    {
      std::lock_guard lock(hub_->mutex);
      for (const auto& [_, weak] : hub_->connections)
        if (auto connection = weak.lock()) alive.push_back(std::move(connection));
    }
    for (const auto& connection : alive) f(*connection);
  }

  asio::io_context io_;
  // Without it the I/O threads would end with the last connection, before a close posted to
  // another.
  const asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  const std::shared_ptr<Hub> hub_;
  const int num_threads_;
  tcp::acceptor acceptor_{asio::make_strand(io_)};
  asio::steady_timer accept_pause_{acceptor_.get_executor()};
  bool accept_failing_ = false;  // and that was logged
  int port_ = 0;
  std::mutex stop_mutex_;
  std::vector<std::jthread> threads_;
};

Server::Server(Limits limits, CorsPolicy cors, Handlers handlers, int num_io_threads)
    : impl_(std::make_unique<Impl>(std::move(limits), std::move(cors), std::move(handlers),
                                   num_io_threads)) {}
Server::~Server() = default;
Result<void> Server::start(const std::string& host, int port) {
  return impl_->start(host, port);
}
int Server::port() const {
  return impl_->port();
}
void Server::lower_max_bytes(size_t total, size_t client) {
  impl_->lower_max_bytes(total, client);
}
int Server::num_connections() const {
  return impl_->num_connections();
}
bool Server::drain(milliseconds limit) {
  return impl_->drain(limit);
}
void Server::stop() {
  impl_->stop();
}

}  // namespace erne::http
