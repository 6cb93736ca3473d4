// The JSON bodies of chats, completions, Anthropic's messages and OpenAI's responses: parsed,
// translated, checked, and where they pass, rendered and tokenised like a server does it. First
// byte: which endpoint, and whether there is a tokenizer.
#include <cstdint>
#include <string_view>

#include "engine/engine_client.h"
#include "server/anthropic/messages_request.h"
#include "server/prepare.h"
#include "server/responses/responses_request.h"
#include "text/text_goldens.h"

namespace {

using namespace erne;
using namespace erne::server;

struct NoEngine final : engine::EngineClient {
  sched::RequestId next_id() override { return 1; }
  Result<std::shared_ptr<engine::TokenStream>> submit(sched::Request,
                                                      std::function<void()>) override {
    return Status{Code::kOverloaded, "no engine", {}};
  }
  void cancel(sched::RequestId) override {}
  engine::EngineStats stats() const override { return {}; }
};

struct Served {
  NoEngine engine;
  const text::Tokenizer& tokenizer = text::golden_tokenizer();
  text::ChatPrompt chat =
      text::ChatPrompt::create({text::golden_text("text.jinja"), ""}, tokenizer).value();
  RequestMemory memory{size_t{256} << 20};
  ServerContext with{options(), engine, &tokenizer, &chat};
  ServerContext without{options(), engine, nullptr, nullptr};

  static ServerOptions options() {
    ServerOptions options;
    options.vocab_size = 1004;
    options.num_text_threads = 1;
    return options;
  }
};

enum class Api { kOwn, kMessages, kCount, kResponses };

// What a body of another API asks of a chat.
Result<Json> translated(Api api, Result<Json> body, const RequestLimits& limits) {
  const Json json = TRY(std::move(body));
  if (api == Api::kOwn) return json;
  if (api != Api::kResponses) return anthropic::chat_of_messages(json, api == Api::kCount, limits);
  responses::ResponsesRequest request = TRY(responses::read_responses_request(json, limits));
  request.chat.set("messages",
                   TRY(responses::messages_of_items(request.input, "Be brief.", limits)));
  return std::move(request.chat);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Served served;
  if (size == 0) return 0;
  const auto api = static_cast<Api>(data[0] >> 2 & 3);
  const Endpoint endpoint =
      data[0] & 1 || api != Api::kOwn ? Endpoint::kChat : Endpoint::kCompletions;
  const ServerContext& context = data[0] & 2 ? served.without : served.with;
  RequestWork work(served.memory, std::stop_token());
  std::string body(reinterpret_cast<const char*>(data + 1), size - 1);
  CHECK(work.memory.take(body.size(), "the body").ok());
  const auto request = parse_generation_request(
      endpoint, translated(api, parse_body(std::move(body), work), context.limits()),
      context.options.defaults, context.limits());
  if (!request.ok()) {
    CHECK(!request.status().message.empty());
    CHECK_LT(request.status().message.size(), 1000u);
    return 0;
  }
  const auto prepared = prepare(context, 1, *request, work);
  if (!prepared.ok()) return 0;
  for (const sched::Request& choice : prepared->choices) {
    CHECK(!choice.prompt.empty());
    CHECK_LE(choice.prompt.size() + choice.stop.max_new_tokens,
             static_cast<size_t>(context.options.max_model_len));
    for (const TokenId id : choice.prompt) CHECK(id >= 0 && id < context.options.vocab_size);
  }
  return 0;
}
