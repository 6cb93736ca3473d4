// What every request is served with. Shared by the handlers and the requests in flight, so that it
// lives as long as any of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/counter_rng.h"
#include "base/request_memory.h"
#include "engine/engine_client.h"
#include "grammar/grammar_compiler.h"
#include "server/delta_parser.h"
#include "server/generation_request.h"
#include "server/metrics.h"
#include "server/responses/response_store.h"
#include "server/server_options.h"
#include "server/work_pool.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace erne::server {

// Numbers nobody can guess from earlier ones by eye, and never the same twice: seeds for requests
// that bring none, and names of requests. Thread-safe.
class DrawSource {
 public:
  explicit DrawSource(std::optional<uint64_t> seed = std::nullopt);  // else a random one
  uint64_t seed();
  std::string name();  // 32 hexadecimal digits

 private:
  explicit DrawSource(uint64_t seed) : seeds_(seed, 0), names_(seed, 1) {}

  const CounterRng seeds_, names_;
  std::atomic<uint64_t> num_seeds_ = 0, num_names_ = 0;
};

struct ServerContext {
  ServerContext(ServerOptions server_options, engine::EngineClient& engine_client,
                const text::Tokenizer* text_tokenizer, const text::ChatPrompt* chat_prompt);

  RequestLimits limits() const;
  // kNotFound unless this server goes by that name.
  Result<void> check_model(const std::string& name) const;
  // What replies call the model.
  const std::string& model_name() const;
  // For one choice of a prompt. A completion's text is not told apart.
  std::unique_ptr<DeltaParser> parser_for(const GenerationRequest& request,
                                          const std::vector<TokenId>& prompt);
  // Whether a chat's output begins in a thought.
  bool thinks_first(std::span<const TokenId> prompt) const;

  const ServerOptions options;
  engine::EngineClient& engine;
  const text::Tokenizer* const tokenizer;  // may be null: token ids only
  const text::ChatPrompt* const chat;      // may be null: no chats
  const std::vector<TokenId> tag_ids;      // shown in chats even where they count as special
  const std::unique_ptr<grammar::GrammarCompiler> grammars;  // null without a tokenizer
  const int64_t started_s;                                   // Unix time
  Metrics metrics;
  RequestMemory memory;
  // Tokens never wait for texts, nor short texts for long ones.
  WorkPool short_texts, long_texts, delivery;
  responses::ResponseStore stored_responses;
  DrawSource draws;
  std::atomic<int> num_admitted = 0;
};

int64_t unix_time_s();

}  // namespace erne::server
