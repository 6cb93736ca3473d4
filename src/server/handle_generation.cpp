// POST /v1/chat/completions and /v1/completions: parse, prepare, generate.
#include "server/errors.h"
#include "server/generation.h"
#include "server/routes.h"

namespace erne::server {
namespace {

Result<GenerationRequest> parse(ServerContext& context, Endpoint endpoint, std::string body,
                                RequestWork& work) {
  Json json = TRY(parse_body(std::move(body), work));
  GenerationRequest request = TRY(parse_generation_request(
      endpoint, std::move(json), context.options.defaults, context.limits()));
  TRY(context.check_model(request.model));
  return request;
}

void handle(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
            Endpoint endpoint, RequestWork work) {
  auto request = parse(*context, endpoint, exchange->take_body(), work);
  if (!request.ok()) return exchange->respond(error_response(request.status()));
  Generation::start(std::move(context), std::move(exchange), std::move(request).value(),
                    std::move(work),
                    endpoint == Endpoint::kChat ? make_chat_reply : make_completion_reply);
}

}  // namespace

void handle_chat(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
                 RequestWork work) {
  handle(std::move(context), std::move(exchange), Endpoint::kChat, std::move(work));
}

void handle_completions(std::shared_ptr<ServerContext> context,
                        std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  handle(std::move(context), std::move(exchange), Endpoint::kCompletions, std::move(work));
}

}  // namespace erne::server
