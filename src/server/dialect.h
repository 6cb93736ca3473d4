// Whose protocol a path speaks, as far as all requests of a path have it in common: how errors
// look, and where the API key stands.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "http/exchange.h"

namespace erne::server {

enum class Dialect { kOpenAi, kAnthropic };

// {"type": "error", "error": {"type", "message"}}, as Anthropic's clients read it.
Json anthropic_error(int http_status, std::string_view message);

// An error as error_response() makes it, in the words of the path; any other response as it is.
http::Response in_dialect(Dialect dialect, http::Response response);

// The credentials, as "Bearer KEY".
std::string credentials(Dialect dialect, const http::Request& request);

}  // namespace erne::server
