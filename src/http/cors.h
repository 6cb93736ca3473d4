// Cross-origin requests (Fetch standard, section 3.2): which pages of other sites a browser lets
// read the answers. Pure functions of the policy and a request's fields.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http/exchange.h"

namespace erne::http {

struct CorsPolicy {
  std::vector<std::string> origins;          // such as "https://a.example"; "*": any; empty: none
  std::vector<std::string> methods = {"*"};  // "*": all that exist here
  std::vector<std::string> headers = {"*"};  // "*": whatever is asked for
  bool allow_credentials = false;            // cookies and the like
};

// What an answer to the request says beside its own headers.
Fields cors_headers(const CorsPolicy& policy, const Request& request);
// The answer where the request is a browser's question (OPTIONS with the method to come) and not
// one for the server itself. No answer where the policy allows nobody.
std::optional<Response> answer_preflight(const CorsPolicy& policy, const Request& request);

}  // namespace erne::http
