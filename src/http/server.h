// http: HTTP/1.1 over sockets, for whoever has answers to give. Reads and checks requests, hands
// each to the Handlers as an Exchange (exchange.h) and sends what is answered; knows framing,
// limits and time, and nothing of paths, JSON or models. A Server owns its connections and a few
// I/O threads, on which alone the Handlers are called; an Exchange may be answered from any thread.
// Boost.Asio stays inside connection.h and server.cpp: it costs seconds per including unit.
//
// What hostile or broken clients meet: bounded headers, bodies and number of connections, a
// deadline for each phase of a request, a bounded amount of unsent output with a deadline for
// progress. One read is always pending, so a client that leaves is noticed at once, whatever the
// server is doing; half-closing the connection counts as leaving.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/exchange.h"

namespace erne::http {

struct Limits {
  int max_connections = 16384;                 // beyond: 503 and closed
  size_t max_header_bytes = size_t{32} << 10;  // beyond: 431
  size_t max_body_bytes = size_t{8} << 20;     // of one request; beyond: 413
  size_t max_total_body_bytes = size_t{1}
                                << 30;        // of all requests being read or answered; beyond: 429
  size_t max_unsent_bytes = size_t{1} << 20;  // of one response, see Exchange::writable()
  std::chrono::milliseconds header_timeout{10'000};  // from a request's first byte; then 408
  std::chrono::milliseconds body_timeout{60'000};    // from the end of the header; then 408
  std::chrono::milliseconds idle_timeout{75'000};    // between requests; then closed
  std::chrono::milliseconds write_timeout{60'000};  // without the client taking a byte; then closed
};

// A request that the transport itself turns down, or that is no request.
struct Refusal {
  int status;  // 400, 408, 413, 429, 431 or 503
  std::string_view code;
  std::string message;
};

struct Handlers {
  // On an I/O thread, with the header read but not the body: a response refuses the request.
  std::function<std::optional<Response>(const Request&)> gate;
  // On an I/O thread, with the whole request: hand it to another thread, return at once.
  std::function<void(std::shared_ptr<Exchange>)> handle;
  // On an I/O thread: how a refusal is worded.
  std::function<Response(const Refusal&)> refuse;
};

class Server {
 public:
  Server(Limits limits, Handlers handlers, int num_io_threads);
  ~Server();  // stops

  // Binds and starts. Port 0 takes a free one. Call once.
  Result<void> start(const std::string& host, int port);
  int port() const;
  int num_connections() const;

  // Accepts no more connections, closes the idle ones, and waits until every request is answered:
  // true. False: the time was over, or stop() was called.
  bool drain(std::chrono::milliseconds limit);
  // Closes everything at once (unfinished exchanges see on_gone) and joins the I/O threads.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace erne::http
