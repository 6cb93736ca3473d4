// POST /tokenize, /detokenize and /render, GET /tokenizer_info: what likelihood harnesses need to
// count tokens as the model does, and whoever makes prompts to see them as the model does.
#include <fmt/format.h>

#include <algorithm>

#include "server/errors.h"
#include "server/fields.h"
#include "server/prepare.h"
#include "server/reply.h"
#include "server/request_cost.h"
#include "server/routes.h"

namespace erne::server {
namespace {

// /tokenize counts texts beyond the model's own context, too: harnesses cut them afterwards.
constexpr int kMaxTokensToCount = 128 << 10;
// Memory for an id in a reply: as a value, as JSON, and on its way out.
constexpr size_t kReplyBytesPerId = 40;
constexpr size_t kReplyBytesPerName = 160;

size_t max_tokens_to_count(const ServerContext& context) {
  return static_cast<size_t>(std::max(context.options.max_model_len, kMaxTokensToCount));
}

Result<void> need_tokenizer(const ServerContext& context) {
  if (context.tokenizer != nullptr) return {};
  return unsupported("this server runs without a tokenizer");
}

// The members of `body` that are not null, each one of `known`.
Result<Json> read_body(std::string text, RequestWork& work,
                       std::initializer_list<std::string_view> known) {
  Json body = TRY(parse_body(std::move(text), work));
  if (!body.is_object()) return invalid("the body must be a JSON object");
  Json out = Json::Object();
  for (auto& [name, value] : body.as_object()) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return invalid(fmt::format("unknown field \"{}\"; allowed: {}", name.substr(0, 40),
                                 fmt::join(known, ", ")),
                     name.substr(0, 40));
    if (!value.is_null()) out.set(name, std::move(value));
  }
  return out;
}

Result<bool> flag(const Json& body, const char* name, bool absent, const RequestLimits& limits) {
  const Json* value = body.find(name);
  return value == nullptr ? Result<bool>(absent) : boolean(Arg{name, *value, limits});
}

Result<void> check_model(const ServerContext& context, const Json& body) {
  const Json* model = body.find("model");
  if (model == nullptr) return {};
  return context.check_model(TRY(string(Arg{"model", *model, context.limits()}, 256)));
}

// A chat is read by the chat endpoint's own rules.
Result<std::vector<TokenId>> tokenize_chat(const ServerContext& context, const Json& body,
                                           RequestWork& work) {
  Json request;
  for (const char* name : {"messages", "add_generation_prompt", "chat_template_kwargs"})
    if (const Json* value = body.find(name)) request.set(name, *value);
  const GenerationRequest chat = TRY(parse_generation_request(
      Endpoint::kChat, request, context.options.defaults, context.limits()));
  return TRY(render_chat(context, chat, work)).ids;
}

Result<std::vector<TokenId>> tokenize_prompt(const ServerContext& context, const Json& prompt,
                                             RequestWork& work) {
  if (!prompt.is_string())
    return Arg{"prompt", prompt, context.limits()}.wrong("a string (or send messages)");
  const size_t max_tokens = max_tokens_to_count(context);
  if (context.tokenizer->least_tokens(prompt.as_string().size()) > max_tokens)
    return Status{Code::kTooLong,
                  fmt::format("prompt has {} bytes, certainly more than {} tokens",
                              prompt.as_string().size(), max_tokens),
                  "prompt"};
  return encode(context, prompt.as_string(), std::string::npos, work);
}

Result<Json> tokenize(const ServerContext& context, std::string text, RequestWork& work) {
  TRY(need_tokenizer(context));
  const Json body =
      TRY(read_body(std::move(text), work,
                    {"model", "prompt", "messages", "add_generation_prompt", "chat_template_kwargs",
                     "add_special_tokens", "return_token_strs"}));
  TRY(check_model(context, body));
  TRY(flag(body, "add_special_tokens", true, context.limits()));  // ERNIE's tokenizer adds none
  const Json* prompt = body.find("prompt");
  if ((prompt == nullptr) == (body.find("messages") == nullptr))
    return invalid("send either prompt or messages", "prompt");
  const std::vector<TokenId> ids = TRY(prompt != nullptr ? tokenize_prompt(context, *prompt, work)
                                                         : tokenize_chat(context, body, work));
  TRY(work.memory.take(ids.size() * kReplyBytesPerId, "the reply's ids"));
  Json strings;
  if (TRY(flag(body, "return_token_strs", false, context.limits()))) {
    TRY(work.memory.take(ids.size() * kReplyBytesPerName, "the reply's token_strs"));
    const TokenNames names(context.tokenizer, /*as_ids=*/false);
    Json::Array list;
    for (const TokenId id : ids) list.push_back(names.name(id));
    strings = std::move(list);
  }
  Json out;
  out.set("count", static_cast<int64_t>(ids.size()));
  out.set("max_model_len", context.options.max_model_len);
  out.set("tokens", ids_json(ids));
  out.set("token_strs", std::move(strings));
  return out;
}

Result<Json> detokenize(const ServerContext& context, std::string text, RequestWork& work) {
  TRY(need_tokenizer(context));
  const Json body = TRY(read_body(std::move(text), work, {"model", "tokens"}));
  TRY(check_model(context, body));
  const Json* tokens = body.find("tokens");
  if (tokens == nullptr) return invalid("tokens is required: a list of token ids", "tokens");
  const std::vector<TokenId> ids = TRY(
      token_ids_at_most(Arg{"tokens", *tokens, context.limits()}, max_tokens_to_count(context)));
  size_t num_bytes = 0;
  for (const TokenId id : ids) num_bytes += context.tokenizer->token_bytes(id).size();
  TRY(work.memory.take(num_bytes * kReplyCopies, "the reply's text"));
  return Json().set("prompt", context.tokenizer->decode(ids, /*skip_special=*/false));
}

Result<Json> tokenizer_info(const ServerContext& context) {
  TRY(need_tokenizer(context));
  Json out = Json::Object();
  for (const auto& [name, value] : context.tokenizer->config().as_object())
    if (name != "added_tokens_decoder") out.set(name, value);  // thousands of entries
  for (const auto& [name, token] : context.tokenizer->named_tokens()) out.set(name, token);
  if (!context.options.chat_template.empty())
    out.set("chat_template", context.options.chat_template);
  out.set("vocab_size", context.options.vocab_size);
  return out;
}

void answer(http::Exchange& exchange, const Result<Json>& result) {
  exchange.respond(result.ok() ? http::Response{.body = result->dump()}
                               : error_response(result.status()));
}

Result<Json> render(const ServerContext& context, std::string body, RequestWork& work) {
  Json json = TRY(parse_body(std::move(body), work));
  const GenerationRequest chat = TRY(parse_generation_request(
      Endpoint::kChat, std::move(json), context.options.defaults, context.limits()));
  TRY(context.check_model(chat.model));
  const PreparedPrompt prompt = TRY(render_chat(context, chat, work));
  TRY(work.memory.take(prompt.ids.size() * kReplyBytesPerId + 2 * prompt.text.size(),
                       "the reply's prompt"));
  return Json()
      .set("prompt", prompt.text)
      .set("prompt_token_ids", ids_json(prompt.ids))
      .set("count", static_cast<int64_t>(prompt.ids.size()));
}

}  // namespace

void handle_tokenize(std::shared_ptr<ServerContext> context,
                     std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  answer(*exchange, tokenize(*context, exchange->take_body(), work));
}

// A body of /v1/chat/completions: the prompt it comes to.
void handle_render(std::shared_ptr<ServerContext> context, std::shared_ptr<http::Exchange> exchange,
                   RequestWork work) {
  const auto rendered = render(*context, exchange->take_body(), work);
  exchange->respond(rendered.ok() ? http::Response{.body = rendered->dump()}
                                  : error_response(rendered.status()));
}

void handle_detokenize(std::shared_ptr<ServerContext> context,
                       std::shared_ptr<http::Exchange> exchange, RequestWork work) {
  answer(*exchange, detokenize(*context, exchange->take_body(), work));
}

void handle_tokenizer_info(std::shared_ptr<ServerContext> context,
                           std::shared_ptr<http::Exchange> exchange, RequestWork) {
  answer(*exchange, tokenizer_info(*context));
}

}  // namespace erne::server
