// What a client asks of /v1/chat/completions or /v1/completions: checked field by field, not yet in
// tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/structural_tag.h"
#include "sched/request.h"
#include "server/server_options.h"

namespace erne::server {

using sched::TokenId;

enum class ToolChoice {
  kNone,      // the model is told of no tools
  kAuto,      // it calls tools where it wants to
  kRequired,  // it calls at least one
  kNamed,     // it calls that one
};

enum class Endpoint : unsigned { kChat = 1, kCompletions = 2 };

using Prompt = std::variant<std::string, std::vector<TokenId>>;

// What the fields of a request are checked against.
struct RequestLimits {
  int vocab_size = 0;
  int max_model_len = 0;
  int max_logprobs = 20;

  // A prompt that is no more than so much too long is refused by its number of tokens, a longer one
  // before it is in tokens at all.
  size_t max_prompt_tokens() const { return 2 * static_cast<size_t>(max_model_len); }
};

inline constexpr int kMaxChoices = 1024;  // prompts x n
inline constexpr int kMaxN = 128;

// From -2^63 to 2^64 - 1, each another draw.
struct Seed {
  uint64_t bits = 0;  // modulo 2^64
  bool is_negative = false;
  bool operator==(const Seed&) const = default;
};

// What an answer must look like, and the field that said so.
struct AnswerFormat {
  using What = std::variant<grammar::Source, grammar::StructuralTag>;
  std::string field;
  What what;
};

struct GenerationRequest {
  GenerationRequest(Endpoint endpoint, const SamplingDefaults& defaults);

  Endpoint endpoint;
  std::string model = "default";
  std::string request_id;  // the client's own; empty: we make one

  // The prompt: `prompts`, or a chat's messages where there are none.
  std::vector<Prompt> prompts;
  Json messages;                             // null or an array of objects
  Json template_variables = Json::Object();  // chat_template_kwargs
  std::optional<bool> thinking;              // before the answer; absent: as the template has it
  std::string thinking_field;                // that said so
  std::optional<int> max_thought;            // tokens of a thought, which then is closed
  std::string thought_closing;               // what closes it, before </think>
  Json tools;                                // null or an array of at least one, as they were sent
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string named_tool;
  bool parallel_tool_calls = true;
  std::vector<TokenId> completion_token_ids;  // an output so far, appended to the prompt

  sched::SamplingParams sampling;  // without seed, stream, bad_words and what is to be scored
  std::optional<Seed> seed;
  int n = 1;
  std::optional<int> best_of;
  std::optional<int> max_tokens, max_completion_tokens;  // the latter wins
  int min_tokens = 0;
  bool ignore_eos = false;
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool include_stop_str_in_output = false;
  std::vector<std::string> bad_words;
  std::vector<std::vector<TokenId>> bad_words_token_ids;

  std::optional<AnswerFormat> answer_format;

  bool skip_special_tokens = true;
  bool echo = false;
  bool return_token_ids = false;
  bool return_tokens_as_token_ids = false;
  // How many alternatives to score beside each token; none: no scores.
  std::optional<int> output_scores;  // of the reply's tokens, with echo of the prompt's as well
  std::optional<int> prompt_scores;  // of the prompt's tokens, in a list of their own

  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;

  std::optional<int> asked_tokens() const {
    return max_completion_tokens ? max_completion_tokens : max_tokens;
  }
};

// A body of the endpoint, as it was parsed. Every field has a row in one of the tables of
// *_fields.cpp or is refused; null means absent; the Status names the field.
Result<GenerationRequest> parse_generation_request(Endpoint endpoint, Result<Json> body,
                                                   const SamplingDefaults& defaults,
                                                   const RequestLimits& limits);

}  // namespace erne::server
