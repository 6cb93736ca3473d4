// A blocking HTTP client on a plain socket, for saying things that well-behaved clients do not.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace erne::server {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer_bytes = 0);
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept;
  RawClient& operator=(RawClient&& other) noexcept;

  void send(std::string_view bytes);  // what the server no longer takes is dropped
  void send_request(std::string_view method, std::string_view path, std::string_view body = {},
                    std::string_view more_headers = {});
  // One whole response; nothing where the connection ends, or stays silent for ten seconds, before
  // it.
  std::optional<RawResponse> read_response(bool has_body = true);
  // Reads until `text` has arrived; false at the end of the connection.
  bool read_until(std::string_view text);
  // Whether something has come, waiting for it at most so long.
  bool readable_within(std::chrono::milliseconds patience);
  // Whether the server has closed the connection, waiting for it at most so long.
  bool closed_within(std::chrono::milliseconds patience);
  void end_sending();  // closes the sending side alone
  void close();
  void close_with_reset();

  // Send a request, read its response.
  std::optional<RawResponse> ask(std::string_view method, std::string_view path,
                                 std::string_view body = {}, std::string_view more_headers = {});

 private:
  bool read_some();
  std::optional<std::string> read_line();
  bool read_exactly(size_t count, std::string& out);

  int fd_ = -1;
  std::string buffer_;
};

}  // namespace erne::server
