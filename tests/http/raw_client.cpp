#include "raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace erne::server {
namespace {

constexpr int kPatienceMs = 60'000;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

RawClient::RawClient(int port, int receive_buffer_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  CHECK_GE(fd_, 0);
  if (receive_buffer_bytes > 0)
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
}

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

RawClient& RawClient::operator=(RawClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

void RawClient::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void RawClient::end_sending() {
  ::shutdown(fd_, SHUT_WR);
}

void RawClient::close_with_reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

void RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void RawClient::send_request(std::string_view method, std::string_view path, std::string_view body,
                             std::string_view more_headers) {
  std::string text = std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n";
  text += more_headers;
  if (!body.empty() || method == "POST")
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  send(text + "\r\n" + std::string(body));
}

bool RawClient::read_some() {
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, kPatienceMs) <= 0) return false;
  char bytes[16 << 10];
  const ssize_t count = ::recv(fd_, bytes, sizeof(bytes), 0);
  if (count <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(count));
  return true;
}

std::optional<std::string> RawClient::read_line() {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos)
    if (!read_some()) return std::nullopt;
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

bool RawClient::read_exactly(size_t count, std::string& out) {
  while (buffer_.size() < count)
    if (!read_some()) return false;
  out.append(buffer_, 0, count);
  buffer_.erase(0, count);
  return true;
}

std::optional<RawResponse> RawClient::read_response(bool has_body) {
  RawResponse response;
  auto line = read_line();
  if (!line || line->size() < 12) return std::nullopt;
  response.status = std::stoi(line->substr(9, 3));
  while ((line = read_line()) && !line->empty()) {
    const size_t colon = line->find(": ");
    if (colon == std::string::npos) return std::nullopt;
    response.headers[lower(line->substr(0, colon))] = line->substr(colon + 2);
  }
  if (!line) return std::nullopt;
  if (!has_body || response.status == 100 || response.status == 204) return response;
  if (response.headers.count("transfer-encoding") != 0) {
    while ((line = read_line())) {
      const size_t size = std::stoul(*line, nullptr, 16);
      std::string end;
      if (!read_exactly(size, response.body) || !read_exactly(2, end)) return std::nullopt;
      if (size == 0) return response;
    }
    return std::nullopt;
  }
  if (const auto length = response.headers.find("content-length");
      length != response.headers.end()) {
    if (!read_exactly(std::stoul(length->second), response.body)) return std::nullopt;
    return response;
  }
  while (read_some()) {
  }
  response.body = std::exchange(buffer_, {});
  return response;
}

bool RawClient::read_until(std::string_view text) {
  while (buffer_.find(text) == std::string::npos)
    if (!read_some()) return false;
  return true;
}

bool RawClient::readable_within(std::chrono::milliseconds patience) {
  pollfd ready{fd_, POLLIN, 0};
  return !buffer_.empty() || ::poll(&ready, 1, static_cast<int>(patience.count())) > 0;
}

bool RawClient::closed_within(std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, 20) <= 0) continue;
    char bytes[4096];
    if (::recv(fd_, bytes, sizeof(bytes), 0) <= 0) return true;
  }
  return false;
}

std::optional<RawResponse> RawClient::ask(std::string_view method, std::string_view path,
                                          std::string_view body, std::string_view more_headers) {
  send_request(method, path, body, more_headers);
  return read_response(method != "HEAD");
}

}  // namespace erne::server
