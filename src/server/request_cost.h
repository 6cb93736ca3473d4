// What a request may come to, counted from its fields and prompts before anything is computed:
// bytes of its reply, and of memory until it ends. Names and numbers count with the length that
// most have.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "server/delta.h"
#include "server/generation_request.h"
#include "server/prepare.h"

namespace erne::server {

// While a reply goes out there are so many copies of its text: of a choice, of all of them, of the
// reply, and two of the transport's.
inline constexpr size_t kReplyCopies = 5;

// Bytes of the JSON of one token with its score and `num_top` alternatives, in `logprobs` and in
// `prompt_logprobs`.
size_t score_bytes(Endpoint endpoint, int num_top);
size_t prompt_score_bytes(int num_top);

// Bytes of the JSON of all that a choice has come to.
size_t reply_bytes(const GenerationRequest& request, const Delta& whole);

// What a reply is bound to hold of its prompts, in all choices: echoed text, ids, scores.
size_t prompt_reply_bytes(const GenerationRequest& request,
                          std::span<const PreparedPrompt> prompts);

// How many of the `wanted` tokens of each choice a reply of at most `max_bytes` has room for. A
// stream never holds more than a part of its reply, so only its prompts count. kInvalid, naming the
// fields and the flag, where the prompts alone are too much, or what was asked for in so many
// words.
Result<int> tokens_in_reply(const GenerationRequest& request,
                            std::span<const PreparedPrompt> prompts, int wanted, size_t max_bytes);

// Bytes of memory, here and in the engine, until one choice ends: the prompt's ids and scores, and
// the tokens and scores that it may generate. The reply's JSON is counted when it is written.
size_t choice_memory(const sched::Request& choice);

}  // namespace erne::server
