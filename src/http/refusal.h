// A request that the transport itself turns down: it is no HTTP, or too much of it.
#pragma once

#include <string>
#include <string_view>

#include "http/exchange.h"

namespace erne::http {

struct Refusal {
  int status;             // 4xx, 501 or 503
  std::string_view code;  // a name of the kind, for programs
  std::string message;
  Fields headers = {};
};

inline Refusal malformed(const std::string& what) {
  return {400, "malformed_request", "not a well-formed HTTP/1.1 request: " + what};
}
inline Refusal header_too_large(size_t allowed) {
  return {431, "header_too_large",
          "the request's header is larger than the allowed " + std::to_string(allowed) + " bytes"};
}
inline Refusal body_too_large(size_t allowed) {
  return {413, "body_too_large",
          "the request's body is larger than the allowed " + std::to_string(allowed) + " bytes"};
}

}  // namespace erne::http
