#include "http/cors.h"

#include <fmt/format.h>

#include <algorithm>

#include "http/request_head.h"

namespace erne::http {
namespace {

constexpr int kMaxAgeSeconds = 600;
constexpr std::string_view kAllMethods = "GET, HEAD, POST, OPTIONS";
constexpr std::string_view kExposed = "X-Request-Id, Retry-After";

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& entry) {
    return entry == "*" || equal_ignoring_case(entry, value);
  });
}
bool has_any(const std::vector<std::string>& list) {
  return std::find(list.begin(), list.end(), "*") != list.end();
}

// Header names to allow: those of the policy, or those asked for as far as they are names.
std::string allowed_headers(const CorsPolicy& policy, std::string_view asked) {
  if (!has_any(policy.headers)) return fmt::format("{}", fmt::join(policy.headers, ", "));
  std::vector<std::string_view> names = list_members(asked);
  std::erase_if(names, [](std::string_view name) { return !is_token(name); });
  return fmt::format("{}", fmt::join(names, ", "));
}

Response refused(std::string_view what) {
  return {.status = 400,
          .content_type = "text/plain; charset=utf-8",
          .body = fmt::format("{} is not allowed here for requests from other sites\n", what)};
}

}  // namespace

Fields cors_headers(const CorsPolicy& policy, const Request& request) {
  const std::string_view origin = request.field("origin");
  if (origin.empty() || policy.origins.empty()) return {};
  Fields out;
  // Browsers send no credentials to "*", so with them the origin has to be named.
  const bool any = has_any(policy.origins) && !policy.allow_credentials;
  if (!any) out.emplace_back("Vary", "Origin");
  if (!has(policy.origins, origin)) return out;
  out.emplace_back("Access-Control-Allow-Origin", any ? "*" : origin);
  if (policy.allow_credentials) out.emplace_back("Access-Control-Allow-Credentials", "true");
  out.emplace_back("Access-Control-Expose-Headers", kExposed);
  return out;
}

std::optional<Response> answer_preflight(const CorsPolicy& policy, const Request& request) {
  const std::string_view method = request.field("access-control-request-method");
  const std::string_view origin = request.field("origin");
  if (request.method != "OPTIONS" || method.empty() || origin.empty() || policy.origins.empty())
    return std::nullopt;
  if (!has(policy.origins, origin)) return refused("the origin");
  if (!has(policy.methods, method)) return refused("the method");
  const std::string_view asked = request.field("access-control-request-headers");
  for (const std::string_view name : list_members(asked))
    if (!has(policy.headers, name)) return refused("a header");
  Response answer{.status = 204, .content_type = ""};
  answer.headers.emplace_back("Access-Control-Allow-Methods",
                              has_any(policy.methods)
                                  ? std::string(kAllMethods)
                                  : fmt::format("{}", fmt::join(policy.methods, ", ")));
  if (const std::string headers = allowed_headers(policy, asked); !headers.empty())
    answer.headers.emplace_back("Access-Control-Allow-Headers", headers);
  answer.headers.emplace_back("Access-Control-Max-Age", std::to_string(kMaxAgeSeconds));
  return answer;
}

}  // namespace erne::http
