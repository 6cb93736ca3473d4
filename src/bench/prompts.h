// What the load generator asks: bodies of requests, from random tokens or from a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace erne::bench {

enum class Endpoint { kCompletions, kChat };
Result<Endpoint> parse_endpoint(
    const std::string& path);  // "/v1/completions", "/v1/chat/completions"

// One request's own part; the rest of its body is the same for all.
struct Prompt {
  Json content;           // "prompt" of a completion, or "messages" of a chat
  int64_t output_tokens;  // as max_tokens
};

// Random prompts that share no prefix, the same for the same seed.
// Completions: `input_tokens` token ids, away from both ends of the vocabulary, where control and
// added tokens live. Chat: a message of as many random digits; ERNIE's tokenizer makes each digit
// one token, and the chat template adds its own.
struct RandomPrompts {
  Endpoint endpoint;
  int num_prompts;
  int64_t input_tokens, output_tokens;
  int64_t vocab_size;  // for completions
  uint64_t seed;
};
std::vector<Prompt> random_prompts(const RandomPrompts& options);

// The first `num_prompts` lines of a JSON Lines file. Each is an object with "prompt" (text; token
// ids too for completions) or, for chat, "messages"; "output_len" replaces the default number of
// tokens to generate. Refused: a line that is none of this, larger than 16 MiB, or fewer lines than
// asked for.
Result<std::vector<Prompt>> read_prompts(const std::string& path, Endpoint endpoint,
                                         int num_prompts, int64_t default_output_tokens);

}  // namespace erne::bench
