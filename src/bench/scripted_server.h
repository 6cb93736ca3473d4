// For tests: an HTTP server on a loopback port that answers by script, over plain sockets, so that
// it can misbehave in every way a server can.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"

namespace erne::bench {

class ScriptedServer {
 public:
  struct Request {
    std::string head, body;  // the head begins with the request line
  };
  using Write =
      std::function<bool(std::string_view)>;  // sends bytes as they are; false: nobody reads
  // Answers one request. When it returns, the connection is closed.
  using Script = std::function<void(const Request&, const Write&)>;

  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    CHECK_EQ(bind(listener_, generic, size), 0);
    CHECK_EQ(listen(listener_, 512), 0);
    CHECK_EQ(getsockname(listener_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_connections(); });
  }
  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);  // wakes accept
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
    close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int num_requests() const { return num_requests_; }
  void wait_for_requests(int count) const {
    while (num_requests_ < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  int most_at_once() const { return most_at_once_; }

  static constexpr std::string_view kStreamHead =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

 private:
  void accept_connections() {
    for (int connection; (connection = accept(listener_, nullptr, nullptr)) >= 0;) {
      connections_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    const int at_once = ++num_open_;
    for (int most = most_at_once_;
         at_once > most && !most_at_once_.compare_exchange_weak(most, at_once);) {
    }
    script_(read_request(connection), [connection](std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<size_t>(sent));
      }
      return true;
    });
    ++num_requests_;
    --num_open_;
    close(connection);
  }

  static Request read_request(int connection) {
    std::string text;
    size_t head_end, length = 0;
    char buffer[4096];
    for (;;) {
      head_end = text.find("\r\n\r\n");
      if (head_end != std::string::npos) {
        const size_t field = text.find("Content-Length: ");
        if (field < head_end) length = std::stoul(text.substr(field + 16));
        if (text.size() >= head_end + 4 + length) break;
      }
      const ssize_t received = recv(connection, buffer, sizeof buffer, 0);
      if (received <= 0) return {};
      text.append(buffer, static_cast<size_t>(received));
    }
    return {text.substr(0, head_end), text.substr(head_end + 4)};
  }

  Script script_;
  int listener_, port_;
  std::atomic<int> num_requests_ = 0, num_open_ = 0, most_at_once_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> connections_;  // the acceptor's until it ends
};

}  // namespace erne::bench
