// POST /v1/chat/completions and /v1/completions: parse, prepare, generate.
#include "server/errors.h"
#include "server/generation.h"
#include "server/routes.h"

namespace erne::server {
namespace {

struct Parsed {
  GenerationRequest request;
  PreparedRequest prepared;
};

Result<Parsed> parse(ServerContext& context, Endpoint endpoint, std::string body,
                     RequestWork& work) {
  Json json = TRY(parse_body(std::move(body), work));
  const size_t json_bytes = work.memory.bytes();
  GenerationRequest request = TRY(parse_generation_request(
      endpoint, std::move(json), context.options.defaults, context.limits()));
  TRY(context.check_model(request.model));
  if (context.tokenizer == nullptr) request.return_token_ids = true;  // there is no other output
  PreparedRequest prepared = TRY(prepare(context, context.draws.seed(), request, work));
  request.prompts = {};
  request.messages = {};
  work.memory.give_back(json_bytes);
  return Parsed{std::move(request), std::move(prepared)};
}

void handle(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
            Endpoint endpoint, RequestWork work) {
  Result<Parsed> parsed = parse(*context, endpoint, exchange->take_body(), work);
  if (!parsed.ok()) return exchange->respond(error_response(parsed.status()));
  Generation::start(std::move(context), std::move(exchange), std::move(parsed->request),
                    std::move(parsed->prepared), std::move(work),
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
