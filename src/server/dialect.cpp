#include "server/dialect.h"

#include <fmt/format.h>

namespace erne::server {
namespace {

constexpr int kFirstError = 400;

struct ErrorType {
  int http_status;
  std::string_view type;
};
constexpr ErrorType kAnthropicTypes[] = {
    {401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},
    {413, "request_too_large"},    {429, "rate_limit_error"}, {503, "overloaded_error"},
};

std::string_view anthropic_type(int http_status) {
  for (const ErrorType& row : kAnthropicTypes)
    if (row.http_status == http_status) return row.type;
  return http_status >= 500 ? "api_error" : "invalid_request_error";
}

}  // namespace

Json anthropic_error(int http_status, std::string_view message) {
  return Json()
      .set("type", "error")
      .set("error", Json().set("type", anthropic_type(http_status)).set("message", message));
}

http::Response in_dialect(Dialect dialect, http::Response response) {
  if (dialect == Dialect::kOpenAi || response.status < kFirstError) return response;
  const Result<Json> written = Json::parse(response.body);
  const Json* error = written.ok() ? written->find("error") : nullptr;
  const Json* message = error == nullptr ? nullptr : error->find("message");
  if (message != nullptr && message->is_string())
    response.body = anthropic_error(response.status, message->as_string()).dump();
  return response;
}

std::string credentials(Dialect dialect, const http::Request& request) {
  const std::string_view key = request.field("x-api-key");
  if (dialect == Dialect::kAnthropic && !key.empty()) return fmt::format("Bearer {}", key);
  return std::string(request.field("authorization"));
}

}  // namespace erne::server
