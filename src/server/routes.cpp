#include "server/routes.h"

#include <fmt/format.h>

#include <chrono>
#include <new>
#include <set>
#include <string>
#include <utility>

#include "base/log.h"
#include "server/api_key.h"
#include "server/errors.h"

namespace erne::server {
namespace {

// Access of the probes, of /metrics and /load as in vLLM: a key guards what the model does.
constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Access::kKey, Work::kText, Reach::kMain, handle_chat},
    {"POST", "/v1/completions", Access::kKey, Work::kText, Reach::kMain, handle_completions},
    {"POST", "/v1/responses", Access::kKey, Work::kText, Reach::kMain, responses::handle_responses},
    {"POST", "/v1/responses/input_tokens", Access::kKey, Work::kText, Reach::kMain,
     responses::handle_response_tokens},
    {"POST", "/v1/responses/*/cancel", Access::kKey, Work::kText, Reach::kMain,
     responses::handle_cancel_response},
    {"GET", "/v1/responses/*/input_items", Access::kKey, Work::kText, Reach::kMain,
     responses::handle_input_items},
    {"GET", "/v1/responses/*", Access::kKey, Work::kText, Reach::kMain,
     responses::handle_get_response},
    {"DELETE", "/v1/responses/*", Access::kKey, Work::kText, Reach::kMain,
     responses::handle_delete_response},
    {"POST", "/v1/messages", Access::kKey, Work::kText, Reach::kMain, anthropic::handle_messages,
     Dialect::kAnthropic},
    {"POST", "/v1/messages/count_tokens", Access::kKey, Work::kText, Reach::kMain,
     anthropic::handle_count_tokens, Dialect::kAnthropic},
    {"POST", "/render", Access::kKey, Work::kText, Reach::kMain, handle_render},
    {"POST", "/tokenize", Access::kKey, Work::kText, Reach::kMain, handle_tokenize},
    {"POST", "/detokenize", Access::kKey, Work::kText, Reach::kMain, handle_detokenize},
    {"GET", "/tokenizer_info", Access::kKey, Work::kQuick, Reach::kMain, handle_tokenizer_info},
    {"GET", "/v1/models", Access::kKey, Work::kQuick, Reach::kMain, handle_models},
    {"GET", "/v1/models/*", Access::kKey, Work::kQuick, Reach::kMain, handle_model},
    {"GET", "/health", Access::kOpen, Work::kQuick, Reach::kBoth, answer_ready},
    {"POST", "/health", Access::kOpen, Work::kQuick, Reach::kBoth, answer_ready},
    {"GET", "/ping", Access::kOpen, Work::kQuick, Reach::kBoth, answer_ready},
    {"POST", "/ping", Access::kOpen, Work::kQuick, Reach::kBoth, answer_ready},
    {"GET", "/ready", Access::kOpen, Work::kQuick, Reach::kBoth, answer_ready},
    {"GET", "/startup", Access::kOpen, Work::kQuick, Reach::kBoth, answer_startup},
    {"GET", "/live", Access::kOpen, Work::kQuick, Reach::kBoth, answer_live},
    {"GET", "/load", Access::kOpen, Work::kQuick, Reach::kBoth, answer_load},
    {"GET", "/version", Access::kOpen, Work::kQuick, Reach::kBoth, answer_version},
    {"GET", "/metrics", Access::kOpen, Work::kQuick, Reach::kBoth, handle_metrics},
    {"GET", "/", Access::kOpen, Work::kQuick, Reach::kMain, answer_page},
    {"GET", "/web/*", Access::kOpen, Work::kQuick, Reach::kMain, answer_page},
};

bool matches(std::string_view pattern, std::string_view path) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == path;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (path.size() <= before.size() + after.size()) return false;
  const std::string_view name = path.substr(star, path.size() - before.size() - after.size());
  return path.starts_with(before) && path.ends_with(after) &&
         (after.empty() || name.find('/') == std::string_view::npos);
}

bool is_served(const Route& route, const Desk& desk) {
  if (std::holds_alternative<Page>(route.answer) && !desk.has_page) return false;
  return desk.port == Port::kMain || route.reach == Reach::kBoth;
}

// HEAD is GET without the body, which the transport leaves out.
const Route* find_route(const Desk& desk, const http::Request& request) {
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  for (const Route& route : kRoutes)
    if (is_served(route, desk) && route.method == method && matches(route.path, request.path))
      return &route;
  return nullptr;
}

// The methods of a path, or of "*": anywhere on the port. Empty: the path is not there.
std::set<std::string_view> methods_of(const Desk& desk, std::string_view path) {
  std::set<std::string_view> methods;
  for (const Route& route : kRoutes) {
    if (!is_served(route, desk) || (path != "*" && !matches(route.path, path))) continue;
    methods.insert(route.method);
    if (route.method == "GET") methods.insert("HEAD");
  }
  return methods;
}

// Of the API, without those that need a name.
std::string served_paths() {
  std::string paths;
  for (const Route& route : kRoutes) {
    if (!route.path.starts_with("/v1/") || route.path.find('*') != std::string_view::npos) continue;
    paths += fmt::format("{}{}", paths.empty() ? "" : ", ", route.path);
  }
  return paths;
}

// What no row of the table is for: 404, 405, or what OPTIONS asks.
http::Response answer_without_route(const Desk& desk, const http::Request& request) {
  std::set<std::string_view> methods = methods_of(desk, request.path);
  const std::string path = request.path.substr(0, 100);
  if (methods.empty())
    return error_response(404, fmt::format("there is no {} here; served: {}", path, served_paths()),
                          "not_found");
  http::Response response =
      request.method == "OPTIONS"
          ? http::Response{.status = 204, .content_type = ""}
          : error_response(405, fmt::format("{} allows {}", path, fmt::join(methods, ", ")),
                           "method_not_allowed");
  methods.insert("OPTIONS");
  response.headers.emplace_back("Allow", fmt::format("{}", fmt::join(methods, ", ")));
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
  std::string take_body() override { return inner_->take_body(); }
  void respond(http::Response response) override {
    status_ = response.status;
    if (status_ >= 500)
      log_warning("{} {}: {} (x-request-id {})", route_.method, route_.path, status_, request().id);
    end();
    inner_->respond(in_dialect(route_.dialect, std::move(response)));
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

// Texts of more bytes have threads of their own.
constexpr size_t kLongText = size_t{32} << 10;

// Whose turn a request takes: of its key, where keys are asked for, at its address.
std::string client_of(const Desk& desk, Dialect dialect, const http::Request& request) {
  if (desk.api_keys.empty()) return request.client;
  return fmt::format("{} {}", request.client, credentials(dialect, request));
}

// Hears of the client's leaving until the answer begins.
class Departure final : public http::ExchangeListener {
 public:
  void on_gone() override { left_.request_stop(); }
  void on_writable() override {}
  std::stop_token token() const { return left_.get_token(); }

 private:
  std::stop_source left_;
};

// On a text thread. What is left unanswered is answered by the exchange's end.
void run_text(const std::shared_ptr<ServerContext>& context,
              const std::shared_ptr<http::Exchange>& exchange, Handler handler,
              std::shared_ptr<RequestWork> work) {
  if (!work->is_wanted()) return;
  try {
    handler(context, exchange, std::move(*work));
  } catch (const std::bad_alloc&) {  // although all was counted: somebody else took the memory
    exchange->respond(error_response(out_of_memory()));
  }
  work.reset();
  context->memory.trim();
}

// Of routes that need no model.
http::Response answer_at_once(const Route& route, const Desk& desk, const http::Request& request) {
  if (const auto* page = std::get_if<Page>(&route.answer)) return (*page)(request);
  return std::get<Probe>(route.answer)(desk.standing);
}

void post_text(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
               Handler handler, std::string client) {
  const auto departure = std::make_shared<Departure>();
  exchange->listen(departure);
  const auto work = std::make_shared<RequestWork>(context->memory, departure->token(), client);
  const size_t num_bytes = exchange->request().body.size();
  if (const auto room = work->memory.take(num_bytes, "the request's body"); !room.ok())
    return exchange->respond(error_response(room.status()));
  WorkPool& pool = num_bytes > kLongText ? context->long_texts : context->short_texts;
  const auto give_up = [exchange, patience = context->options.max_text_wait] {
    exchange->respond(error_response(
        Status{Code::kExhausted,
               fmt::format(
                   "the request has waited for {} ms behind other requests' texts: try again later",
                   patience.count()),
               {}}));
  };
  pool.post({std::move(client),
             [context = std::move(context), exchange, handler, work] {
               run_text(context, exchange, handler, work);
             },
             give_up});
}

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

http::Admission admit(const Desk& desk, const http::Request& head) {
  const Route* route = find_route(desk, head);
  if (route == nullptr) return {answer_without_route(desk, head)};
  const auto refuse = [&](http::Response response) {
    return http::Admission{in_dialect(route->dialect, std::move(response))};
  };
  const bool needs_key = route->access == Access::kKey;
  if (needs_key && !is_authorized(credentials(route->dialect, head), desk.api_keys))
    return refuse(
        error_response(Status{Code::kUnauthorized, "no API key, or not one of this server's", {}}));
  if (std::holds_alternative<Handler>(route->answer) && desk.context == nullptr)
    return refuse(loading_response());
  if (route->work == Work::kText && desk.standing.state == Standing::State::kDraining)
    return refuse(draining_response());
  return {.wants_body = route->work == Work::kText};
}

void dispatch(const Desk& desk, std::shared_ptr<http::Exchange> inner) {
  const Route* route = find_route(desk, inner->request());
  if (route == nullptr) return inner->respond(answer_without_route(desk, inner->request()));
  if (!std::holds_alternative<Handler>(route->answer)) {
    http::Response response = answer_at_once(*route, desk, inner->request());
    if (desk.context)
      desk.context->metrics.http_answered(route->method, route->path, response.status, 0.0);
    return inner->respond(std::move(response));
  }
  std::shared_ptr<ServerContext> context = desk.context;
  if (context == nullptr) return inner->respond(loading_response());
  const auto exchange = std::make_shared<ObservedExchange>(context, std::move(inner), *route);
  const Handler handler = std::get<Handler>(route->answer);
  if (route->work == Work::kQuick)
    return handler(context, exchange, RequestWork(context->memory, std::stop_token()));
  const int most = context->options.max_concurrency;
  if (context->num_admitted > most)
    return exchange->respond(error_response(Status{
        Code::kOverloaded, fmt::format("too many requests: {} are being served", most), {}}));
  post_text(std::move(context), exchange, handler,
            client_of(desk, route->dialect, exchange->request()));
}

}  // namespace erne::server
