// sched: decides which sequence computes which tokens in the next step. It owns every sequence and
// its claim on KV blocks. One thread (the engine's) uses it, and it knows no clock, lock, device or
// text: a plan follows from the messages so far and the number of the step, so that plans can be
// simulated and repeated.
//
// This header has what a client asks for, as plain data, and what comes back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/token_id.h"

namespace erne::sched {

using erne::TokenId;
using RequestId = uint64_t;  // unique while the process lives, ascending in order of submission
using Step = int64_t;

struct SamplingParams {
  float temperature = 1.0f;  // 0: greedy
  float top_p = 1.0f;
  int top_k = 0;  // 0: off
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;  // over prompt and output
  float frequency_penalty = 0.0f;   // output only
  float presence_penalty = 0.0f;    // output only
  uint64_t seed = 0;
  uint64_t stream = 0;  // which of a request's n choices this is; with `seed` and the position it
                        // keys the draw
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::vector<std::vector<TokenId>> bad_words;  // a word's last token is forbidden after its others
  int logprobs = -1;                            // -1: none; k: of the token and of the k best
  int prompt_logprobs = -1;                     // -1: none; k: likewise for every prompt token
};

// When a sequence ends, in tokens. Stop strings are text: server/ matches them and cancels.
struct StopRules {
  std::vector<TokenId> eos_ids;         // the model's; unless ignored, masked before min_new_tokens
  std::vector<TokenId> stop_token_ids;  // the client's; masked before min_new_tokens
  bool ignore_eos = false;
  int min_new_tokens = 0;
  int max_new_tokens = 1;  // 0: only compute (and score) the prompt
};

// What whoever prepared a request tells an executor about it. The scheduler never looks into it.
struct RequestNotes {
  virtual ~RequestNotes() = default;
};

struct Request {  // immutable once submitted
  RequestId id = 0;
  std::vector<TokenId> prompt;  // at least one token
  SamplingParams sampling;
  StopRules stop;
  int priority = 0;  // smaller is sooner
  // Who asks, for fairness (turns.h). Requests that nothing tells apart are one client's.
  uint64_t client = 0;
  // The id of the first of the requests that came together, such as the n choices of one question;
  // 0: it came alone.
  RequestId party = 0;
  std::shared_ptr<const RequestNotes> notes = nullptr;  // of all choices alike; null: none
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

struct TokenLogprob {
  TokenId token;
  float logprob;
};
struct PositionLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // best first; as many as asked for
};

// What one step did for one request. Every request gets events until exactly one has `finish`.
struct TokenEvent {
  RequestId id = 0;
  std::vector<TokenId> tokens;             // accepted this step
  std::vector<PositionLogprobs> logprobs;  // one per token, if asked for
  // One per prompt token scored this step: over the request's events exactly those of prompt tokens
  // 1, 2, ..., each once, whatever was cached or preempted. The first prompt token has no
  // prediction and no entry.
  std::vector<PositionLogprobs> prompt_logprobs;
  int cached_tokens = 0;  // prompt tokens that came from the prefix cache when first admitted
  std::optional<FinishReason> finish;
  Status error = {};  // says why, with kError
};

}  // namespace erne::sched
