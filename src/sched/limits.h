// What one engine accepts and how much it does per step. Pure functions of configuration and
// request, so that a client's thread can refuse at once what the scheduler could never serve.
#pragma once

#include <cstddef>
#include <limits>

#include "base/status.h"
#include "kv/kv_geometry.h"
#include "sched/request.h"

namespace erne::sched {

struct Limits {
  int max_rows = 64;                                 // sequences in a step
  int max_tokens = 2048;                             // tokens in a step
  int max_model_len = 0;                             // prompt + new tokens of one request
  int vocab_size = std::numeric_limits<int>::max();  // ids a request may name are below it
  int max_waiting = 2048;                            // requests that wait for their first step
  int max_drafts = 0;                                // unverified tokens per row; 0: no speculation
  // Kept available for running sequences to grow into when another is admitted.
  int min_free_blocks = 0;
  // Prompt tokens that a step may score (prompt_logprobs), which takes longer than to compute them.
  int max_scored = 64;
  // Prompts that may be begun and not yet computed to their end, and how many of these may be long,
  // once more as many that are scored. A prompt is long while more than `long_prompt` tokens of it
  // are left to compute.
  int max_partial_prompts = std::numeric_limits<int>::max();
  int max_long_prompts = 1;
  int long_prompt = std::numeric_limits<int>::max();
  bool share_prefixes = true;
  bool chunk_prompts = true;  // a prompt may take several steps
};

// kInvalid, naming the field, its value and what is allowed.
Result<void> check_limits(const Limits& limits, const kv::KvGeometry& geometry);

// kInvalid or kTooLong for a request that can never run to its end under these limits, even alone:
// every token id it names is one of the vocabulary's, lengths fit, and what it asks of the sampler
// is a number that the sampler is defined for. Whoever submits a request may rely on this check
// alone; ranges that an API promises to its clients are narrower, and the API's own.
Result<void> check_request(const Request& request, const Limits& limits,
                           const kv::KvGeometry& geometry);

// kOverloaded: for a request beyond max_waiting.
Status too_many_waiting(size_t num_waiting);

}  // namespace erne::sched
