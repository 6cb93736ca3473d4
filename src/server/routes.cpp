#include "server/routes.h"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "server/api_key.h"
#include "server/errors.h"

namespace erne::server {
namespace {

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Access::kKey, Work::kText, handle_chat},
    {"POST", "/v1/completions", Access::kKey, Work::kText, handle_completions},
    {"POST", "/tokenize", Access::kKey, Work::kText, handle_tokenize},
    {"POST", "/detokenize", Access::kKey, Work::kText, handle_detokenize},
    {"GET", "/tokenizer_info", Access::kKey, Work::kQuick, handle_tokenizer_info},
    {"GET", "/v1/models", Access::kKey, Work::kQuick, handle_models},
    {"GET", "/v1/models/*", Access::kKey, Work::kQuick, handle_model},
    {"GET", "/health", Access::kOpen, Work::kQuick, handle_health},
    {"POST", "/health", Access::kOpen, Work::kQuick, handle_health},
    {"GET", "/ping", Access::kOpen, Work::kQuick, handle_health},
    {"POST", "/ping", Access::kOpen, Work::kQuick, handle_health},
    {"GET", "/metrics", Access::kOpen, Work::kQuick, handle_metrics},
};

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  pattern.remove_suffix(1);
  return path.starts_with(pattern) && path.size() > pattern.size();
}

// HEAD is GET without the body, which the transport leaves out.
const Route* find_route(const http::Request& request) {
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  for (const Route& route : kRoutes)
    if (route.method == method && matches(route.path, request.path)) return &route;
  return nullptr;
}

std::string allowed_methods(std::string_view path) {
  std::set<std::string_view> methods;
  for (const Route& route : kRoutes) {
    if (!matches(route.path, path)) continue;
    methods.insert(route.method);
    if (route.method == "GET") methods.insert("HEAD");
  }
  return fmt::format("{}", fmt::join(methods, ", "));
}

http::Response no_route(const http::Request& request) {
  const std::string methods = allowed_methods(request.path);
  if (methods.empty())
    return error_response(404, "there is no " + request.path.substr(0, 100) + " here", "not_found");
  http::Response response = error_response(
      405, fmt::format("{} allows {}", request.path.substr(0, 100), methods), "method_not_allowed");
  response.headers.emplace_back("Allow", methods);
  return response;
}

// Passes everything on; once answered, or dropped without an answer, tells the metrics and gives up
// the place among the admitted requests. Just before the answer's end goes out, so that a client
// that has it finds both done.
class ObservedExchange final : public http::Exchange {
 public:
  ObservedExchange(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> inner,
                   const Route& route)
      : context_(std::move(context)), inner_(std::move(inner)), route_(route) {
    if (route_.work == Work::kText) ++context_->num_admitted;
  }
  ~ObservedExchange() override { end(); }

  const http::Request& request() const override { return inner_->request(); }
  void respond(http::Response response) override {
    status_ = response.status;
    end();
    inner_->respond(std::move(response));
  }
  void begin_stream(http::Response head) override {
    status_ = head.status;
    inner_->begin_stream(std::move(head));
  }
  void write(std::string bytes) override { inner_->write(std::move(bytes)); }
  bool writable() const override { return inner_->writable(); }
  void finish() override {
    end();
    inner_->finish();
  }
  void listen(std::shared_ptr<http::ExchangeListener> listener) override {
    inner_->listen(std::move(listener));
  }

 private:
  static constexpr int kClientClosed = 499;

  void end() {
    if (std::exchange(ended_, true)) return;
    if (route_.work == Work::kText) --context_->num_admitted;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
    context_->metrics.http_answered(route_.method, route_.path, status_, elapsed.count());
  }

  const std::shared_ptr<ServerContext> context_;
  const std::shared_ptr<http::Exchange> inner_;
  const Route& route_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  int status_ = kClientClosed;
  bool ended_ = false;
};

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

std::optional<http::Response> refuse_early(const ServerContext& context,
                                           const http::Request& head) {
  const Route* route = find_route(head);
  if (route == nullptr) return no_route(head);
  if (route->access == Access::kKey && !is_authorized(head.authorization, context.options.api_keys))
    return error_response(
        Status{Code::kUnauthorized, "no API key, or not one of this server's", {}});
  if (route->work == Work::kText && context.draining)
    return error_response(503, "the server is shutting down", "shutting_down");
  return std::nullopt;
}

void dispatch(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> inner) {
  const Route* route = find_route(inner->request());
  CHECK(route != nullptr);  // refuse_early() saw to it
  const auto exchange = std::make_shared<ObservedExchange>(context, std::move(inner), *route);
  if (route->work == Work::kQuick) return route->handler(std::move(context), exchange);
  const int most = context->options.max_concurrency;
  if (context->num_admitted > most)
    return exchange->respond(error_response(Status{
        Code::kOverloaded, fmt::format("too many requests: {} are being served", most), {}}));
  WorkPool& pool = context->pool;
  pool.post([context = std::move(context), exchange, handler = route->handler] {
    handler(context, exchange);
  });
}

}  // namespace erne::server
