#include "server/server.h"

#include "http/server.h"
#include "server/errors.h"
#include "server/routes.h"
#include "server/server_context.h"

namespace erne::server {
namespace {

// What scrapers may reach on a port of their own.
std::optional<http::Response> refuse_but_metrics(const http::Request& head) {
  if (head.path == "/metrics" || head.path == "/health") return std::nullopt;
  return http::Response{404, "text/plain", "this port serves /metrics and /health only\n"};
}

}  // namespace

Server::Server(ServerOptions options, engine::EngineClient& engine,
               const text::Tokenizer* tokenizer, const text::ChatPrompt* chat)
    : context_(std::make_shared<ServerContext>(std::move(options), engine, tokenizer, chat)) {
  http::Handlers handlers;
  handlers.gate = [context = context_](const http::Request& head) {
    auto refusal = refuse_early(*context, head);
    if (refusal) context->metrics.http_answered("-", "-", refusal->status, 0.0);
    return refusal;
  };
  handlers.handle = [context = context_](std::shared_ptr<http::Exchange> exchange) {
    dispatch(context, std::move(exchange));
  };
  handlers.refuse = [](const http::Refusal& refusal) {
    return error_response(refusal.status, refusal.message, std::string(refusal.code));
  };
  if (context_->options.metrics_port != 0)
    metrics_http_ = std::make_unique<http::Server>(
        context_->options.http,
        http::Handlers{refuse_but_metrics, handlers.handle, handlers.refuse}, 1);
  http_ = std::make_unique<http::Server>(context_->options.http, std::move(handlers),
                                         context_->options.num_io_threads);
}

Server::~Server() {
  stop();
}

Result<void> Server::start() {
  const ServerOptions& options = context_->options;
  if (metrics_http_) TRY(metrics_http_->start(options.host, options.metrics_port));
  return http_->start(options.host, options.port);
}

int Server::port() const {
  return http_->port();
}

bool Server::drain(std::chrono::milliseconds limit) {
  context_->draining = true;
  return http_->drain(limit);
}

void Server::stop() {
  context_->draining = true;
  http_->stop();
  if (metrics_http_) metrics_http_->stop();
  context_->pool.stop();
}

}  // namespace erne::server
