// What one engine accepts and how much it does per step. Pure functions of configuration and
// request, so that a client's thread can refuse at once what the scheduler could never serve.
#pragma once

#include "base/status.h"
#include "kv/kv_geometry.h"
#include "sched/request.h"

namespace erne::sched {

struct Limits {
  int max_rows = 64;       // sequences in a step
  int max_tokens = 2048;   // tokens in a step
  int max_model_len = 0;   // prompt + new tokens of one request
  int max_waiting = 2048;  // requests that wait for their first step
  int max_drafts = 0;      // unverified tokens per row; 0: no speculation
  int min_free_blocks =
      0;  // kept available for running sequences to grow into when another is admitted
  bool share_prefixes = true;
  bool chunk_prompts = true;  // a prompt may take several steps
};

// kInvalid, naming the field, its value and what is allowed.
Result<void> check_limits(const Limits& limits, const kv::KvGeometry& geometry);

// kInvalid or kTooLong for a request that can never run to its end under these limits, even alone.
Result<void> check_request(const Request& request, const Limits& limits,
                           const kv::KvGeometry& geometry);

}  // namespace erne::sched
