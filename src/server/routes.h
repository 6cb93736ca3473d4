// The table of endpoints, and what happens to every request before its handler.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "http/exchange.h"
#include "server/server_context.h"

namespace erne::server {

using Handler = void (*)(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);

enum class Access { kOpen, kKey };  // kKey: only with an API key, where the server has any
enum class Work {
  kQuick,  // answered on the I/O thread, also under full load
  kText,   // on the text threads, counted against max_concurrency
};

struct Route {
  std::string_view method;
  std::string_view path;  // ending in '*': that prefix and one name more
  Access access;
  Work work;
  Handler handler;
};

std::span<const Route> routes();

// Before the body is read: no such path, no such method, no key, shutting down.
std::optional<http::Response> refuse_early(const ServerContext& context, const http::Request& head);
// With the whole request: runs the handler where the route says, or refuses for want of room.
void dispatch(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange);

// Handlers, one file per group.
void handle_chat(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_completions(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_tokenize(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_detokenize(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_tokenizer_info(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_models(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_model(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_health(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);
void handle_metrics(std::shared_ptr<ServerContext>, std::shared_ptr<http::Exchange>);

}  // namespace erne::server
