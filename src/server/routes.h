// The table of endpoints, and what happens to every request before its handler.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "http/exchange.h"
#include "http/server.h"
#include "server/dialect.h"
#include "server/request_work.h"
#include "server/server_context.h"
#include "server/standing.h"

namespace erne::server {

// Needs a model: while that is loaded, the answer is 503.
using Handler = void (*)(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                         RequestWork);
using Probe = http::Response (*)(const Standing&);
// Needs nothing but the request: files of the web page.
using Page = http::Response (*)(const http::Request&);

enum class Access { kOpen, kKey };  // kKey: only with an API key, where the server has any
enum class Work {
  kQuick,  // answered on the I/O thread, also under full load; has no body
  kText,   // on the text threads, counted against max_concurrency
};
enum class Port { kMain, kMetrics };
enum class Reach { kMain, kBoth };  // the ports it is served on

struct Route {
  std::string_view method;
  // With one '*', which stands for a name: at the end for any, before "/..." for one without a '/'.
  std::string_view path;
  Access access;
  Work work;
  Reach reach;
  std::variant<Handler, Probe, Page> answer;
  Dialect dialect = Dialect::kOpenAi;
};

std::span<const Route> routes();

// Who asks, as far as routing goes. Without a context the model is being loaded.
struct Desk {
  Port port;
  bool has_page;
  const std::vector<std::string>& api_keys;
  std::shared_ptr<ServerContext> context;
  Standing standing;
};

// Before the body is read: no such path, no such method, no key, loading, shutting down.
http::Admission admit(const Desk& desk, const http::Request& head);
// With the whole request: runs the handler where the route says, or refuses for want of room.
void dispatch(const Desk& desk, std::shared_ptr<http::Exchange> exchange);

// Handlers, one file per group.
void handle_chat(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_completions(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                        RequestWork);
void handle_render(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_tokenize(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_detokenize(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                       RequestWork);
void handle_tokenizer_info(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                           RequestWork);
void handle_models(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_model(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_metrics(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);

http::Response answer_page(const http::Request& request);
namespace anthropic {
void handle_messages(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_count_tokens(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                         RequestWork);
}  // namespace anthropic
namespace responses {
void handle_responses(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>, RequestWork);
void handle_response_tokens(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                            RequestWork);
void handle_get_response(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                         RequestWork);
void handle_delete_response(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                            RequestWork);
void handle_input_items(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                        RequestWork);
void handle_cancel_response(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>,
                            RequestWork);
}  // namespace responses

}  // namespace erne::server
