// The bytes of a response: head and chunk framing (RFC 9112).
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.h"

namespace erne::http {

enum class ResponseFraming {
  kLength,   // Content-Length of the body
  kChunked,  // chunks until an empty one
  kToClose,  // until the connection closes: streams to HTTP/1.0 clients
};

// `more`: headers besides the response's own.
std::string response_head(const Response& response, const Fields& more, ResponseFraming framing,
                          bool keep_alive);
std::string chunk(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace erne::http
