// POST /v1/messages and /v1/messages/count_tokens: Anthropic's API, as the chat it asks for.
#include "server/anthropic/messages_request.h"
#include "server/errors.h"
#include "server/generation.h"
#include "server/routes.h"

namespace erne::server::anthropic {
namespace {

Result<GenerationRequest> parse(const ServerContext& context, std::string body, bool counts_only,
                                RequestWork& work) {
  const Json json = TRY(parse_body(std::move(body), work));
  // The chat is a second value of about the same size.
  TRY(work.memory.take(work.memory.bytes(), "the request's messages"));
  Json chat = TRY(chat_of_messages(json, counts_only, context.limits()));
  GenerationRequest request = TRY(parse_generation_request(
      Endpoint::kChat, std::move(chat), context.options.defaults, context.limits()));
  TRY(context.check_model(request.model));
  return request;
}

}  // namespace

void handle_messages(std::shared_ptr<ServerContext> context,
                     std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  auto request = parse(*context, exchange->take_body(), /*counts_only=*/false, work);
  if (!request.ok()) return exchange->respond(error_response(request.status()));
  Generation::start(std::move(context), std::move(exchange), std::move(request).value(),
                    std::move(work), make_messages_reply);
}

void handle_count_tokens(std::shared_ptr<ServerContext> context,
                         std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  const auto request = parse(*context, exchange->take_body(), /*counts_only=*/true, work);
  if (!request.ok()) return exchange->respond(error_response(request.status()));
  const auto prompt = render_chat(*context, *request, work);
  if (!prompt.ok()) return exchange->respond(error_response(prompt.status()));
  exchange->respond(
      {.body = Json().set("input_tokens", static_cast<int64_t>(prompt->ids.size())).dump()});
}

}  // namespace erne::server::anthropic
