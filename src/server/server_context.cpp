#include "server/server_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <random>

#include "server/parsers/tagged_parser.h"

namespace erne::server {
namespace {

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace

int64_t unix_time_s() {
  return std::time(nullptr);
}

DrawSource::DrawSource(std::optional<uint64_t> seed) : DrawSource(seed ? *seed : random_seed()) {}

uint64_t DrawSource::seed() {
  const auto words = seeds_.words(num_seeds_++);
  return uint64_t{words[0]} << 32 | words[1];
}

std::string DrawSource::name() {
  const auto words = names_.words(num_names_++);
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", words[0], words[1], words[2], words[3]);
}

ServerContext::ServerContext(ServerOptions server_options, engine::EngineClient& engine_client,
                             const text::Tokenizer* text_tokenizer,
                             const text::ChatPrompt* chat_prompt)
    : options(std::move(server_options)),
      engine(engine_client),
      tokenizer(text_tokenizer),
      chat(chat_prompt),
      tag_ids(text_tokenizer == nullptr ? std::vector<TokenId>() : tag_tokens(*text_tokenizer)),
      grammars(text_tokenizer == nullptr
                   ? nullptr
                   : std::make_unique<grammar::GrammarCompiler>(
                         *text_tokenizer, std::min(options.vocab_size, text_tokenizer->size()))),
      started_s(unix_time_s()),
      memory(options.max_request_memory),
      short_texts(options.num_text_threads, options.max_text_wait),
      long_texts(std::max(1, options.num_text_threads / 2), options.max_text_wait),
      delivery(options.num_delivery_threads, WorkPool::kForEver),
      stored_responses(options.max_stored_bytes, options.stored_for),
      draws(options.seed) {}

RequestLimits ServerContext::limits() const {
  return {options.vocab_size, options.max_model_len, options.max_logprobs};
}

Result<void> ServerContext::check_model(const std::string& name) const {
  const auto& served = options.served_model_names;
  const bool known = served.empty() || name == "default" ||
                     std::find(served.begin(), served.end(), name) != served.end();
  if (known) return {};
  return Status{Code::kNotFound,
                fmt::format("the model \"{}\" does not exist here; served: {}", name.substr(0, 80),
                            fmt::join(served, ", ")),
                "model"};
}

const std::string& ServerContext::model_name() const {
  return options.served_model_names.empty() ? options.model_name
                                            : options.served_model_names.front();
}

bool ServerContext::thinks_first(std::span<const TokenId> prompt) const {
  return options.tags.thoughts && tokenizer != nullptr && begins_in_thought(prompt, *tokenizer);
}

std::unique_ptr<DeltaParser> ServerContext::parser_for(const GenerationRequest& request,
                                                       const std::vector<TokenId>& prompt) {
  if (request.endpoint != Endpoint::kChat) return std::make_unique<DeltaParser>();
  if (options.make_parser) return options.make_parser();
  TagStyle tags = options.tags;
  if (request.tool_choice == ToolChoice::kNone) tags.calls = false;
  if (tags == TagStyle{}) return std::make_unique<DeltaParser>();
  return std::make_unique<TaggedParser>(tags, thinks_first(prompt),
                                        [this] { return "chatcmpl-tool-" + draws.name(); });
}

}  // namespace erne::server
