// OpenAI's error object, {"error": {"message", "type", "param", "code"}}, and its HTTP status.
#pragma once

#include <string>

#include "base/json.h"
#include "base/status.h"
#include "http/exchange.h"

namespace erne::server {

inline constexpr int kRetryAfterSeconds = 1;

int http_status(Code code);
Json error_object(const Status& status);  // the object with the member "error"

// What ends a request whose work meets no memory although all of it was counted.
Status out_of_memory();

// 429 and 503 carry Retry-After.
http::Response error_response(const Status& status);
// For what has no Code of its own: 404 and 405 of the router, 408, 413, 431 and 503 of the
// transport.
http::Response error_response(int http_status, std::string message, std::string code);
// 503 while nothing is served: not yet, or no more.
http::Response loading_response();
http::Response draining_response();

}  // namespace erne::server
