// /v1/responses: create, read again, list its input, cancel, delete, count tokens.
#include <fmt/format.h>

#include <algorithm>

#include "server/errors.h"
#include "server/generation.h"
#include "server/responses/responses_reply.h"
#include "server/responses/responses_request.h"
#include "server/routes.h"

namespace erne::server::responses {
namespace {

constexpr std::string_view kPath = "/v1/responses/";

struct Conversation {
  ResponsesRequest asked;
  Json::Array earlier;  // items of the turns before
  GenerationRequest request;
};

Status unknown_response(const std::string& id) {
  return {Code::kNotFound,
          fmt::format("there is no response {} here: it was not stored, or is forgotten by now",
                      id.substr(0, 80)),
          "response_id"};
}

// What a response was asked and what it answered, as items.
Json::Array all_items(const StoredResponse& stored) {
  Json::Array items = stored.earlier;
  items.insert(items.end(), stored.input.begin(), stored.input.end());
  const Json::Array& output = stored.response.find("output")->as_array();
  items.insert(items.end(), output.begin(), output.end());
  return items;
}

// They are copied as items of the new one, as messages and for the prompt.
constexpr size_t kCopies = 4;

Result<Json::Array> items_before(ServerContext& context, const std::string& previous_id,
                                 RequestWork& work) {
  if (previous_id.empty()) return Json::Array();
  const auto previous = context.stored_responses.find(previous_id, work.client);
  if (previous == nullptr) {
    Status status = unknown_response(previous_id);
    status.param = "previous_response_id";
    return status;
  }
  TRY(work.memory.take(kCopies * bytes_of(*previous), "the turns before"));
  return all_items(*previous);
}

Result<Conversation> read(ServerContext& context, std::string body, RequestWork& work) {
  const Json json = TRY(parse_body(std::move(body), work));
  const RequestLimits limits = context.limits();
  ResponsesRequest asked = TRY(read_responses_request(json, limits));
  Json::Array earlier = TRY(items_before(context, asked.previous_id, work));
  TRY(work.memory.take(kCopies * bytes_of(asked.input), "the request's items"));
  Json::Array items = earlier;
  items.insert(items.end(), asked.input.begin(), asked.input.end());
  const Json& instructions = *asked.repeated.find("instructions");
  asked.chat.set("messages",
                 TRY(messages_of_items(
                     items, instructions.is_string() ? instructions.as_string() : "", limits)));
  GenerationRequest request = TRY(parse_generation_request(Endpoint::kChat, std::move(asked.chat),
                                                           context.options.defaults, limits));
  TRY(context.check_model(request.model));
  return Conversation{std::move(asked), std::move(earlier), std::move(request)};
}

void store(ServerContext& context, const std::string& owner, const ResponsesRequest& asked,
           const Json::Array& earlier, const std::string& id, const Json& response) {
  if (asked.store) context.stored_responses.put(id, {owner, response, asked.input, earlier});
}

// The id in the path, with nothing behind it or `tail`.
std::string id_in(const http::Request& request, std::string_view tail = {}) {
  std::string id = request.path.substr(kPath.size());
  id.resize(id.size() - tail.size());
  return id;
}

std::shared_ptr<const StoredResponse> find(ServerContext& context, http::Exchange& exchange,
                                           const RequestWork& work, std::string_view tail = {}) {
  const std::string id = id_in(exchange.request(), tail);
  auto stored = context.stored_responses.find(id, work.client);
  if (stored == nullptr) exchange.respond(error_response(unknown_response(id)));
  return stored;
}

}  // namespace

void handle_responses(std::shared_ptr<ServerContext> context,
                      std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  auto read_body = read(*context, exchange->take_body(), work);
  if (!read_body.ok()) return exchange->respond(error_response(read_body.status()));
  const auto asked = std::make_shared<ResponsesRequest>(std::move(read_body->asked));
  const auto keep = [context, owner = work.client, asked, earlier = std::move(read_body->earlier)](
                        const std::string& id, const Json& response) {
    store(*context, owner, *asked, earlier, id, response);
  };
  const auto make_reply = [asked, keep](ReplyHead head, const GenerationRequest& request,
                                        TokenNames names) -> std::unique_ptr<Reply> {
    return std::make_unique<ResponsesReply>(std::move(head), asked->repeated, request, names, keep);
  };
  Generation::start(std::move(context), std::move(exchange), std::move(read_body->request),
                    std::move(work), make_reply);
}

void handle_response_tokens(std::shared_ptr<ServerContext> context,
                            std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  const auto read_body = read(*context, exchange->take_body(), work);
  if (!read_body.ok()) return exchange->respond(error_response(read_body.status()));
  const auto prompt = render_chat(*context, read_body->request, work);
  if (!prompt.ok()) return exchange->respond(error_response(prompt.status()));
  exchange->respond({.body = Json()
                                 .set("object", "response.input_tokens")
                                 .set("input_tokens", static_cast<int64_t>(prompt->ids.size()))
                                 .dump()});
}

void handle_get_response(std::shared_ptr<ServerContext> context,
                         std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  if (const auto stored = find(*context, *exchange, work))
    exchange->respond({.body = stored->response.dump()});
}

void handle_delete_response(std::shared_ptr<ServerContext> context,
                            std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  const std::string id = id_in(exchange->request());
  if (!context->stored_responses.erase(id, work.client))
    return exchange->respond(error_response(unknown_response(id)));
  exchange->respond(
      {.body = Json().set("id", id).set("object", "response").set("deleted", true).dump()});
}

// Newest first, all of them.
void handle_input_items(std::shared_ptr<ServerContext> context,
                        std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  const auto stored = find(*context, *exchange, work, "/input_items");
  if (stored == nullptr) return;
  Json::Array items;
  for (size_t i = stored->input.size(); i-- > 0;) {
    Json item = stored->input[i];
    if (item.find("type") == nullptr) item.set("type", "message");
    if (item.find("id") == nullptr) item.set("id", fmt::format("in_{}", i));
    items.push_back(std::move(item));
  }
  const Json none;
  Json list = Json().set("object", "list").set("has_more", false);
  list.set("first_id", items.empty() ? none : *items.front().find("id"));
  list.set("last_id", items.empty() ? none : *items.back().find("id"));
  list.set("data", std::move(items));
  exchange->respond({.body = list.dump()});
}

// Nothing computes without its client, so there is nothing to cancel: as OpenAI answers for
// responses that are not of the background.
void handle_cancel_response(std::shared_ptr<ServerContext> context,
                            std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  if (find(*context, *exchange, work, "/cancel") == nullptr) return;
  exchange->respond(error_response(
      invalid("only a response that was created with background true can be cancelled: this one "
              "ends when its client leaves",
              "response_id")));
}

}  // namespace erne::server::responses
