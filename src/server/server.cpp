#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "http/server.h"
#include "server/errors.h"
#include "server/routes.h"
#include "server/server_context.h"

namespace erne::server {

// What the handlers of both ports share, from before there is a model.
struct Server::Front {
  explicit Front(ListenOptions listen) : options(std::move(listen)) {}

  const ListenOptions options;
  DrawSource names;
  std::atomic<bool> draining = false;

  void open(std::shared_ptr<ServerContext> opened) {
    std::lock_guard lock(mutex_);
    context_ = std::move(opened);
  }
  std::shared_ptr<ServerContext> context() const {
    std::lock_guard lock(mutex_);
    return context_;
  }
  Desk desk(Port port) const;
  http::Handlers handlers(Port port);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<ServerContext> context_;  // null until there is a model
};

Desk Server::Front::desk(Port port) const {
  Desk desk{port, options.web, options.api_keys, context(), {.version = options.version}};
  Standing& standing = desk.standing;
  if (draining) standing.state = Standing::State::kDraining;
  if (desk.context == nullptr) return desk;
  const engine::EngineStats stats = desk.context->engine.stats();
  standing.num_admitted = desk.context->num_admitted;
  standing.num_running = stats.running;
  standing.num_waiting = stats.waiting;
  standing.state = stats.failed                 ? Standing::State::kFailed
                   : draining || stats.draining ? Standing::State::kDraining
                                                : Standing::State::kServing;
  return desk;
}

// They live as long as connections do, and so does what they hold.
http::Handlers Server::Front::handlers(Port port) {
  http::Handlers out;
  out.admit = [this, port](const http::Request& head) {
    const Desk where = desk(port);
    http::Admission admission = server::admit(where, head);
    if (admission.refusal && where.context)
      where.context->metrics.http_answered("-", "-", admission.refusal->status, 0.0);
    return admission;
  };
  out.handle = [this, port](std::shared_ptr<http::Exchange> exchange) {
    dispatch(desk(port), std::move(exchange));
  };
  out.refuse = [](const http::Refusal& refusal) {
    return error_response(refusal.status, refusal.message, std::string(refusal.code));
  };
  out.make_id = [this] { return names.name(); };
  return out;
}

Server::Server(ListenOptions options) : front_(std::make_unique<Front>(std::move(options))) {
  const ListenOptions& listen = front_->options;
  if (listen.metrics_port)
    metrics_http_ = std::make_unique<http::Server>(listen.http, listen.cors,
                                                   front_->handlers(Port::kMetrics), 1);
  http_ = std::make_unique<http::Server>(listen.http, listen.cors, front_->handlers(Port::kMain),
                                         listen.num_io_threads);
}

Server::~Server() {
  stop();
}

Result<void> Server::start() {
  const ListenOptions& options = front_->options;
  if (metrics_http_) TRY(metrics_http_->start(options.host, *options.metrics_port));
  return http_->start(options.host, options.port);
}

int Server::port() const {
  return http_->port();
}

int Server::metrics_port() const {
  return metrics_http_->port();
}

void Server::open(ServerOptions options, engine::EngineClient& engine,
                  const text::Tokenizer* tokenizer, const text::ChatPrompt* chat) {
  // Half of the memory for requests is for what they send, before it is theirs to work with.
  const size_t for_bodies = options.max_request_memory / 2;
  http_->lower_max_bytes(for_bodies, std::max(for_bodies / 4, front_->options.http.max_body_bytes));
  front_->open(std::make_shared<ServerContext>(std::move(options), engine, tokenizer, chat));
}

bool Server::drain(std::chrono::milliseconds limit) {
  front_->draining = true;
  return http_->drain(limit);
}

void Server::stop() {
  front_->draining = true;
  http_->stop();
  if (metrics_http_) metrics_http_->stop();
  const auto context = front_->context();
  if (context == nullptr) return;
  for (WorkPool* pool : {&context->short_texts, &context->long_texts, &context->delivery})
    pool->stop();
}

}  // namespace erne::server
