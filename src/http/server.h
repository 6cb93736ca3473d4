// http: HTTP/1.1 over sockets, for whoever has answers to give. Reads and checks requests, hands
// each to the Handlers as an Exchange (exchange.h) and sends what is answered; knows framing,
// limits and time, and nothing of paths, JSON or models. A Server owns its connections and a few
// I/O threads, on which alone the Handlers are called; an Exchange may be answered from any thread.
// Boost.Asio stays inside connection.h and server.cpp: it costs seconds per including unit.
//
// A request's way here: server.cpp accepts the connection, connection.cpp waits for its bytes,
// request_reader.h turns them into a head (request_head.h) and a body (body_reader.h), ledger.h
// counts what they hold, connection_exchange.h and response_writer.h write the answer, outbox.h
// keeps what is not sent yet.
//
// What hostile or broken clients meet: heads read strictly and bounded in size, as are bodies and
// the number of connections, in all and per client; a deadline for each phase of a request, a
// bounded amount of unsent output with a deadline for progress. Something is always waited for at
// the socket, so a client that leaves is noticed at once, whatever the server is doing; one that
// has only ended its sending side gets its answers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "http/cors.h"
#include "http/exchange.h"
#include "http/refusal.h"

namespace erne::http {

struct Limits {
  int max_connections = 16384;                       // beyond: 503 and closed
  int max_client_connections = 12288;                // of one address
  size_t max_header_bytes = size_t{32} << 10;        // beyond: 431
  size_t max_body_bytes = size_t{8} << 20;           // of one request, also unpacked; beyond: 413
  size_t max_total_bytes = size_t{1} << 30;          // of all requests, as they arrive; beyond: 429
  size_t max_client_bytes = size_t{256} << 20;       // of one address
  size_t max_unsent_bytes = size_t{1} << 20;         // of one response, see Exchange::writable()
  std::chrono::milliseconds header_timeout{10'000};  // from a request's first byte; then 408
  std::chrono::milliseconds body_timeout{60'000};    // from the end of the header; then 408
  std::chrono::milliseconds idle_timeout{75'000};    // between requests; then closed
  std::chrono::milliseconds write_timeout{60'000};  // without the client taking a byte; then closed
};

// What becomes of a request whose head has been read.
struct Admission {
  std::optional<Response> refusal = {};  // the answer, without the body being read
  bool wants_body = true;                // else it is read and dropped
};

// All on an I/O thread: return soon.
struct Handlers {
  // With the head read, but not the body.
  std::function<Admission(const Request&)> admit;
  // With the whole request, which admit() let pass: hand it to another thread, return at once.
  std::function<void(std::shared_ptr<Exchange>)> handle;
  // How a refusal is worded.
  std::function<Response(const Refusal&)> refuse;
  // The id of a request that brings none: letters and digits, never the same.
  std::function<std::string()> make_id;
};

class Server {
 public:
  Server(Limits limits, CorsPolicy cors, Handlers handlers, int num_io_threads);
  ~Server();  // stops

  // Binds and starts. Port 0 takes a free one. Call once.
  Result<void> start(const std::string& host, int port);
  int port() const;
  int num_connections() const;
  // Lowers the limits on the bytes of all requests that are being read or wait, and of one
  // client's.
  void lower_max_bytes(size_t total, size_t client);

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
