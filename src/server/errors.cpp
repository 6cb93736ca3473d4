#include "server/errors.h"

#include <string_view>

namespace erne::server {
namespace {

struct ErrorKind {
  Code code;
  int http_status;
  std::string_view type;  // clients tell error classes by status, people by type
  std::string_view openai_code;
};

constexpr ErrorKind kErrorKinds[] = {
    {Code::kInvalid, 400, "invalid_request_error", "invalid_value"},
    {Code::kNotFound, 404, "invalid_request_error", "not_found"},
    {Code::kTooLong, 400, "invalid_request_error", "context_length_exceeded"},
    {Code::kUnsupported, 400, "invalid_request_error", "unsupported_value"},
    {Code::kOverloaded, 429, "rate_limit_error", "overloaded"},
    {Code::kExhausted, 503, "server_error", "overloaded"},
    {Code::kCancelled, 499, "server_error", "cancelled"},
    {Code::kUnauthorized, 401, "authentication_error", "invalid_api_key"},
    {Code::kInternal, 500, "server_error", "internal_error"},
};

const ErrorKind& kind_of(Code code) {
  for (const ErrorKind& kind : kErrorKinds)
    if (kind.code == code) return kind;
  CHECK(!"every Code has a row");
  return kErrorKinds[0];
}

Json error_json(std::string message, std::string_view type, Json param, std::string_view code) {
  Json error;
  error.set("message", std::move(message))
      .set("type", type)
      .set("param", std::move(param))
      .set("code", code);
  return Json().set("error", std::move(error));
}

void add_retry_after(http::Response& response) {
  if (response.status == 429 || response.status == 503)
    response.headers.emplace_back("Retry-After", std::to_string(kRetryAfterSeconds));
}

}  // namespace

int http_status(Code code) {
  return kind_of(code).http_status;
}

Json error_object(const Status& status) {
  const ErrorKind& kind = kind_of(status.code);
  const Json param = status.param.empty() ? Json() : Json(status.param);
  return error_json(status.message, kind.type, param, kind.openai_code);
}

Status out_of_memory() {
  return {Code::kExhausted, "the server is out of memory: try again later", {}};
}

http::Response error_response(const Status& status) {
  http::Response response{.status = http_status(status.code), .body = error_object(status).dump()};
  if (response.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  add_retry_after(response);
  return response;
}

http::Response error_response(int http_status, std::string message, std::string code) {
  const std::string_view type = http_status >= 500 ? "server_error" : "invalid_request_error";
  http::Response response{.status = http_status,
                          .body = error_json(std::move(message), type, Json(), code).dump()};
  add_retry_after(response);
  return response;
}

http::Response loading_response() {
  return error_response(503, "the model is being loaded", "loading");
}

http::Response draining_response() {
  return error_response(503, "the server is shutting down", "shutting_down");
}

}  // namespace erne::server
